"""The nouns of a caption, found by NLTK's tagger."""

from bench.errors import ExtraMissing

TAGS = frozenset({"NN", "NNS", "NNP"})
"""Of the Penn Treebank: nouns in singular and plural, and proper nouns, as released."""


def nouns_of(caption: str) -> tuple[str, ...]:
    """The nouns of a caption in their order, in lower case.

    Raises:
        ExtraMissing: NLTK or the files of its tagger are not there.
    """
    try:
        import nltk

        tagged = nltk.pos_tag(nltk.word_tokenize(caption))
    except (ImportError, LookupError) as error:
        raise ExtraMissing(
            "Finding nouns needs NLTK and its tagger: pip install nltk, then python -m "
            "nltk.downloader punkt_tab averaged_perceptron_tagger_eng."
        ) from error
    return tuple(word.lower() for word, tag in tagged if tag in TAGS)
