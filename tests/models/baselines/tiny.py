"""Real networks of transformers at toy sizes, with tokenizers and processors made on the spot."""

import string

import numpy as np
import pytest

transformers = pytest.importorskip("transformers", reason="the extra 'baselines' is optional")

LETTERS = tuple(string.ascii_lowercase + string.digits + ".,?")


def save(folder, *parts):
    """Write the parts of a model into one folder, as `save_pretrained` leaves them on the hub."""
    for part in parts:
        part.save_pretrained(folder)
    return folder


def clip_tokenizer(model_max_length=77):
    """CLIP's tokenizer with the letters for a vocabulary."""
    tokens = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return transformers.CLIPTokenizer(
        vocab=vocabulary, merges=[], model_max_length=model_max_length
    )


def bert_tokenizer(**settings):
    """BERT's tokenizer with the letters for a vocabulary."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{c}" for c in LETTERS)]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return transformers.BertTokenizer(vocab=vocabulary, **settings)


def gpt2_tokenizer(**settings):
    """The tokenizer of GPT-2, OPT and BART with single bytes for a vocabulary."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    tokens = ["<s>", "<pad>", "</s>", "<unk>", *sorted(bytes_to_unicode().values())]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    special = {"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"}
    return transformers.GPT2Tokenizer(vocab=vocabulary, merges=[], **{**special, **settings})


def gemma_tokenizer():
    """SigLIP 2's tokenizer with the letters for a vocabulary."""
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *LETTERS]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return transformers.Siglip2Tokenizer(vocab=vocabulary, merges=[])


def swin():
    """A backbone of four stages."""
    return transformers.SwinConfig(
        image_size=32,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 1, 1],
        window_size=2,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )


def pictures(n=2, size=(24, 36)):
    """Images of one size that is no multiple of anything."""
    generator = np.random.default_rng(7)
    return [generator.integers(0, 256, (*size, 3), np.uint8) for _ in range(n)]
