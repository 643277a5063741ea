"""Getting datasets: from Roboflow, from mirrors and archives, whole or not at all, and checked.

    a spec's source ─► a place ─► a download ─► unpacked aside ─► compared, counted ─► moved in
                                                                        │
                                                                 `data.lock.json`

Nothing is fetched while anything else runs: `bench data get` does it, when a person asks for it.
What was stopped goes on where it stopped; what lies in a dataset's folder is never overwritten.
"""
