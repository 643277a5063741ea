"""The likeliest token, without reading every token's embedding in full.

A vocabulary of 49,408 tokens is a hundred megabytes, and reading them takes a fifth of the time of
writing a token. A copy in whole numbers of eight bits is a quarter of that. What it gets wrong is
bounded, so it says which few tokens may be the likeliest; those alone are read in full.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

_STEPS = 127
"""Steps of a whole number of eight bits, to either side of zero."""
_HALF = 2.0**-7
"""More than the relative error of a number in bfloat16, however a processor rounds."""
_SUMMED = 1e-4
"""More than the relative error of a sum of products in float32, for thousands of channels."""
_FEW = 4096
"""With more candidates than this, reading all tokens is faster than picking them."""
_LANES = 64
"""At least as many channels as any processor's kernel reads at once; it does so beyond the end of
a width that is no multiple of them."""


class Shortlist:
    """Finds the token with the greatest logit, exactly.

    The copy of an embedding `e` is `k = scale * whole`. With the query `x`, its copy `h` in
    bfloat16, and lengths `|.|`, the logit `e x` differs from the rough `k h` by no more than
    `|e - k| |x| + |k| |x - h|`, and what is computed of the latter by a share of `|k| |h|`.

    Args:
        tokens: the embeddings of all tokens, in float32 on a processor; see `suits`.
    """

    def __init__(self, tokens: Float[Tensor, "vocabulary width"]) -> None:
        self._tokens = tokens
        # A little more than is needed, so that rounding to bfloat16 leaves it large enough.
        widest = tokens.abs().amax(dim=1, keepdim=True).clamp(min=1e-30)
        scale = (widest * ((1 + _HALF) / _STEPS)).bfloat16()
        self._whole = (tokens / scale.float()).round().to(torch.int8)
        self._scale = scale[:, 0]
        copied = self._whole.float() * scale.float()
        self._lengths = torch.stack(
            [torch.linalg.vector_norm(t, dim=1) for t in (tokens - copied, copied)], dim=1
        )

    def likeliest(self, query: Float[Tensor, " width"]) -> Int[Tensor, ""]:
        """The token whose embedding has the greatest product with the query."""
        half = query.bfloat16()
        rough = torch._weight_int8pack_mm(half[None], self._whole, self._scale)[0].float()
        length, moved, halved = (
            torch.linalg.vector_norm(v) for v in (query, query - half.float(), half.float())
        )
        error = self._lengths @ torch.stack((length, moved + (_HALF + _SUMMED) * halved))
        candidates = (rough + error >= (rough - error).max()).nonzero()[:, 0]
        if not 0 < len(candidates) <= _FEW:  # none: the query has a NaN or an infinity
            return (self._tokens @ query).argmax()
        return candidates[(self._tokens[candidates] @ query).argmax()]

    @staticmethod
    def suits(queries: Float[Tensor, "query width"], tokens: Tensor) -> bool:
        """Whether it can be asked, and is the faster way: for a single query."""
        return (
            len(queries) == 1
            and tokens.device.type == "cpu"
            and queries.dtype == tokens.dtype == torch.float32
            and tokens.numel() >= _LARGE
            and tokens.shape[1] % _LANES == 0
            and hasattr(torch, "_weight_int8pack_mm")
        )


_LARGE = 2**20
"""With fewer numbers than this, a vocabulary is read at once."""
