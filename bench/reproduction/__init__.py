"""The paper's tables beside what is measured here.

| module | what it knows |
|---|---|
| `comparison` | which runs stand beside the numbers of a printed table |
| `beside` | such a table with what was measured, and what is missing for the rest |
| `counterparts` | what stands for the paper's datasets in the embedded world |
| `ablation` | tables whose rows are trainings, made again in miniature |
| `training`, `trial`, `outlook` | training a row, asking its model, how long that will take |
| `estimate` | how sure a difference between rows is |
| `findings`, `report` | what the paper concludes, and whether it is found here |
| `statistics` | tables that count images and classes |
| `shipped` | the records of trials that come with the package |
"""
