r"""Penn Treebank tokens of captions, as the captioning metrics count them. No Java.

Published CIDEr, BLEU and ROUGE-L rest on one program: the tokeniser of Stanford CoreNLP 3.4.1, run
with `-preserveLines -lowerCase`, whose punctuation tokens are then dropped. This module gives the
same tokens. It was written against that program's behaviour and is tested against stored outputs
of it (and, where Java is present, against the program itself).

Some of it surprises, and all of it counts: brackets stay as `-lrb-`, contractions part (`do n't`),
a run of marks is a word (`!!!`) where one is dropped, `€` becomes `$`, and what follows a caption
in a list of captions can change its last token (`plan B.` is `b` before «The …», else `b.`).
"""

import re
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import cache

from bench.metrics.ptb_characters import DIGIT, LETTER, LETTER_OR_DIGIT, LETTER_OR_MARK
from bench.metrics.scanner import CharacterSet, Rule, Scanner

DROPPED = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])
"""Punctuation that the metrics leave out. (The reference lists brackets too, in capitals, which
never meets the tokens: those are in lower case. So brackets count as words.)"""

_BREAKS = str.maketrans(dict.fromkeys("\n\r\v\f\u2028\u2029", " "))


# --- how a match is written ----------------------------------------------------------------------


def _skip(_: str) -> None:
    """Nothing: the text parts tokens and is none."""


def _as(token: str) -> Callable[[str], str]:
    return lambda _: token


def _no_soft_hyphen(text: str) -> str:
    return text.replace("\u00ad", "") or "-"


def _one_piece(text: str) -> str:
    """Spaces inside a token become no-break spaces."""
    return text.replace(" ", "\u00a0")


def _brackets(text: str) -> str:
    return text.replace("(", "-LRB-").replace(")", "-RRB-")


def _phone(text: str) -> str:
    return _brackets(_one_piece(text))


def _ampersand(text: str) -> str:
    return re.sub("&amp;", "&", text, flags=re.IGNORECASE)


_QUOTES = str.maketrans(
    dict.fromkeys("\u0091\u2018\u201b\u2039", "`")
    | dict.fromkeys("\u0092\u2019\u203a", "'")
    | dict.fromkeys("\u0093\u201c\u00ab", "``")
    | dict.fromkeys("\u0094\u201d\u00bb", "''")
)


def _opening(text: str) -> str:
    return re.sub('"|&quot;', "``", text)


def _closing(text: str) -> str:
    text = text.replace("&apos;", "'").replace("&quot;", '"').replace('"', "''")
    return text.translate(_QUOTES)


_FRACTIONS = str.maketrans({"¼": "1/4", "½": "1/2", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"})
_CURRENCIES = str.maketrans({"¢": "cents", "£": "#"} | dict.fromkeys("\u0080¤₠€", "$"))


def _fraction(text: str) -> str:
    return text.translate(_FRACTIONS)


def _currency(text: str) -> str:
    return text.translate(_CURRENCIES)


# --- what is matched -----------------------------------------------------------------------------

_SPACE = "[ \t\u00a0\u2000-\u200a\u3000]"

_PARTS: dict[str, str | CharacterSet] = {
    "letter": LETTER,
    "mark": LETTER_OR_MARK,
    "digit": DIGIT,
    "alnum": LETTER_OR_DIGIT,
    "any": CharacterSet([], negated=True),
    "space": _SPACE,
    "blank": f"({_SPACE}|\n|\u0085)",
    # Markup
    "name": r"[A-Za-z][A-Za-z0-9_:.\-]*",
    "attribute": "{name}|{name}[ ]*=[ ]*('[^']*'|\"[^\"]*\")",
    "tag": "<([!?][A-Za-z\\-][^>\r\n]*|{name}([ ]+({attribute}))*[ ]*\\/?|\\/{name})[ ]*>",
    "and": "&(amp;)?",
    # Words
    "accented": "&[aeiouAEIOU](acute|grave|uml);",
    "wordletter": "({mark}|{accented})",
    "stem": "{wordletter}({wordletter}|{digit})*",
    "word": "{stem}([.!?]{stem})*",
    "quote": "(['\u0092\u2019]|&apos;)",
    "inquote": "({quote}|[`\u0091\u2018\u201b])",
    "auxiliary": "{quote}([msdMSD]|re|ve|ll)",
    "not": "n{inquote}t",
    "hyphen": "[\\-_\u058a\u2010\u2011]",
    "compoundword": "([dDoOlL]{inquote}{alnum})?{alnum}+",
    "compound": "{compoundword}({hyphen}{compoundword})*",
    "joined": "[A-Z]+(([+&]|&amp;)[A-Z]+)+",
    "asciicompound": ("[A-Za-z0-9][A-Za-z0-9.,\u00ad]*(-([A-Za-z0-9\u00ad]+|{longacronym}\\.))+"),
    "slashword": "[A-Za-z0-9]+(-[A-Za-z]+){0,2}",
    # Numbers
    "number": "[\\-+]?({digit}+|{digit}*([.:,\u00ad\u066b\u066c]{digit}+)+)",
    # Abbreviations: those that end sentences or stand before names, and those before numbers
    "country": "(Canada|Sino|Korean|EU|Japan|non)-U\\.S|U\\.S\\.-(U\\.K|U\\.S\\.S\\.R)",
    "acronym": "([A-Za-z](\\.[A-Za-z])*|{country})",
    "longacronym": "([A-Za-z](\\.[A-Za-z])+|{country})",
    "month": "Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec",
    "day": "Mon|Tues?|Wed|Thu|Thurs|Fri",
    "state": (
        "Ala|Ariz|[A]z|[A]rk|Calif|Colo|Conn|Ct|Dak|[D]el|Fla|Ga|[I]ll|Ind|Kans?|Ky|[L]a|[M]ass|Md|"
        "Mich|Minn|[M]iss|Mo|Mont|Neb|Nev|Okla|[O]re|[P]a|Penn|Tenn|[T]ex|Va|Vt|[W]ash|Wisc?|Wyo"
    ),
    "company": "Inc|Cos?|Corp|Pp?t[ye]s?|Ltd|Plc|Rt|Bancorp|Bhd|Assn|Univ|Intl|Sys",
    "suffix": "Jr|Sr|Bros|(Ed|Ph)\\.D|Blvd|Rd|Esq",
    "closing": "({month}|{day}|{state}|{company}|{suffix}|tel|est|ext|sq|etc|al|seq|Bldg)\\.",
    "title": (
        "Mr|Mrs|Ms|[M]iss|Drs?|Profs?|Sens?|Reps?|Attys?|Lt|Col|Gen|Messrs|Govs?|Adm|Rev|Maj|Sgt|"
        "Cpl|Pvt|Capt|Ste?|Ave|Pres|Lieut|Hon|Brig|Co?mdr|Pfc|Spc|Supts?|Det|Mt|Ft|Adj|Adv|Asst|"
        "Assoc|Ens|Insp|Mlle|Mme|Msgr|Sfc"
    ),
    "opening": (
        "({title}|vs|Alex|Wm|Jos|Cie|a\\.k\\.a|cf|TREAS|Ph|{acronym}|Invt|Elec|Natl|M[ft]g|Dept)"
    ),
    "starter": (
        "[A]bout|[A]ccording|[A]dditionally|[A]fter|[A]n|[A]|[A]s|[A]t|[B]ut|[E]arlier|[H]e|[H]er|"
        "[H]ere|[H]owever|[I]f|[I]n|[I]t|[L]ast|[M]any|[M]ore|[M]r\\.|[M]s\\.|[N]ow|[O]nce|[O]ne|"
        "[O]ther|[O]ur|[S]he|[S]ince|[S]o|[S]ome|[S]uch|[T]hat|[T]he|[T]heir|[T]hen|[T]here|"
        "[T]hese|[T]hey|[T]his|[W]e|[W]hen|[W]hile|[W]hat|[Y]et|[Y]ou|{tag}"
    ),
    # Addresses
    "urlpath": '\\/[^ \t\n\f\r"<>|()]+[^ \t\n\f\r"<>|.!?(){},-]',
    "host": "[^ \t\n\f\r\"`'<>|.!?(){},-_$]",
    "extension": (
        "bat|bmp|c|class|cgi|cpp|dll|doc|docx|exe|gif|gz|h|htm|html|jar|java|jpeg|jpg|mov|mp3|pdf|"
        "php|pl|png|ppt|ps|py|sql|tar|txt|wav|x|xml|zip"
    ),
    "filepart": "({wordletter}|{digit})+",
}

_RULES = (
    Rule(r"c[+][+]"),
    Rule("(c|f)#"),
    Rule("cannot", give_back=3),
    Rule("'twas", give_back=3),
    Rule("'tis", give_back=2),
    Rule("gonna|gotta|lemme|gimme|wanna", give_back=2),
    Rule("{tag}", write=_one_piece),
    Rule("&(MD|mdash|ndash);|[\u0096\u0097\u2013-\u2015]", write=_as("--")),
    Rule("&amp;", write=_ampersand),
    Rule("&(HT|TL|UR|LR|QC|QL|QR|odq|cdq|#[0-9]+);"),
    Rule("{word}", "{auxiliary}", write=_no_soft_hyphen),
    Rule("[A-Za-z\u00ad]*[A-MO-Za-mo-z]\u00ad*", "{not}", write=_no_soft_hyphen),
    Rule("{word}", write=_no_soft_hyphen),
    Rule(
        "{quote}n{quote}?|[lLdDjJ]{quote}|Dunkin{quote}|somethin{quote}|ol{quote}|{quote}em|"
        "[A-HJ-XZn]{inquote}{letter}{letter}+|{quote}[2-9]0s|{quote}till?|"
        "{letter}+[aeiouyAEIOUY]{inquote}[aeiouA-Z]{letter}*|{quote}cause|cont'd\\.?|nor'easter|"
        "c'mon|e'er|s'mores|ev'ry|li'l|nat'l|O{inquote}o"
    ),
    Rule("y{quote}", "{letter}"),
    Rule(
        'https?:\\/\\/[^ \t\n\f\r"<>|(){}]+[^ \t\n\f\r"<>|.!?(){},-]',
    ),
    Rule(
        '(www\\.([^ \t\n\f\r"<>|.!?(){},]+\\.)+[a-zA-Z]{2,4}|'
        "({host}+\\.)+(com|net|org|edu))({urlpath})?",
    ),
    Rule(
        '(&lt;|<)?[a-zA-Z0-9][^ \t\n\f\r"<>|()\u00a0{}]*@'
        '([^ \t\n\f\r"<>|(){}.\u00a0]+\\.)*[^ \t\n\f\r"<>|(){}.\u00a0]+(&gt;|>)?'
    ),
    Rule("@[a-zA-Z_][a-zA-Z_0-9]*|#{wordletter}+"),
    Rule("{auxiliary}", "[^A-Za-z]", write=_closing),
    Rule("{not}", "[^A-Za-z]", write=_closing),
    Rule("{digit}{1,2}[\\-\\/]{digit}{1,2}[\\-\\/]{digit}{2,4}"),
    Rule("{number}", write=_no_soft_hyphen),
    Rule("[\u207a\u207b\u208a\u208b]?([\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+|[\u2080-\u2089]+)"),
    Rule("({digit}{1,4}[\\- \u00a0])?{digit}{1,4}(\\\\?\\/|\u2044){digit}{1,4}", write=_one_piece),
    Rule("[\u00bc-\u00be\u2153-\u215e]", write=_fraction),
    Rule(
        "-(RRB|LRB|RCB|LCB|RSB|LSB)-|C\\.D\\.s|pro-|anti-|S{and}P-500|S{and}Ls|Cap{quote}n|"
        "c{quote}est",
        write=_ampersand,
    ),
    Rule("{slashword}(\\\\?\\/{slashword}){1,2}"),
    Rule("[A-Z]*\\$|#"),
    Rule(
        "[\u00a2-\u00a5\u0080\u20a0\u20ac\u060b\u0e3f\u20a4\uffe0\uffe1\uffe5\uffe6]",
        write=_currency,
    ),
    # One letter and a full stop before a word that opens sentences: the full stop is the sentence's
    Rule("[A-Za-z]\\.", "{blank}+({starter}){blank}", give_back=1),
    Rule("{acronym}\\.", "{blank}+({starter}){blank}"),
    Rule("(ca|figs?|prop|nos?|art|bldg|pp|op)\\.", "{blank}?{digit}"),
    Rule("(pt[eyEY]|co)\\.", "{space}(ltd|lim)"),
    Rule("{closing}", "{any}{any}"),
    Rule("{closing}"),
    Rule("{opening}\\."),
    Rule("{opening}", "{space}"),
    Rule("{acronym}", "{blank}"),
    Rule("{quote}[0-9][0-9]", "{blank}"),
    Rule("{filepart}(\\.{filepart})*\\.({extension})", "{blank}|[.?!,]"),
    Rule("{word}\\.", "[,;:\u3001]", write=_no_soft_hyphen),
    Rule(
        "(\\([0-9]{2,3}\\)[ \u00a0]?|(\\+\\+?)?([0-9]{2,4}[\\- \u00a0])?[0-9]{2,4}[\\- \u00a0])"
        "[0-9]{3,4}[\\- \u00a0]?[0-9]{3,5}|"
        "((\\+\\+?)?[0-9]{2,4}\\.)?[0-9]{2,4}\\.[0-9]{3,4}\\.[0-9]{3,5}",
        write=_phone,
    ),
    Rule('("|&quot;)', "[A-Za-z0-9$]", write=_opening),
    Rule('"|&quot;', write=_closing),
    Rule("\x7f", write=_skip),
    Rule("<|&lt;", write=_as("<")),
    Rule(">|&gt;", write=_as(">")),
    Rule("[<>]?[:;=][\\-o*']?[()DPdpO\\\\{@|\\[\\]]", "[^A-Za-z0-9]", write=_brackets),
    Rule(
        "[\\^x=~<>]\\.\\[\\^x=~<>]|[\\-\\^x=~<>']_[\\-\\^x=~<>']|"
        "\\([\\-\\^x=~<>'][_.]?[\\-\\^x=~<>']\\)|\\([\\^x=~<>']-[\\^x=~<>'`]\\)",
        write=_brackets,
    ),
    Rule("\\{", write=_as("-LCB-")),
    Rule("\\}", write=_as("-RCB-")),
    Rule("\\[", write=_as("-LSB-")),
    Rule("\\]", write=_as("-RSB-")),
    Rule("\\(", write=_as("-LRB-")),
    Rule("\\)", write=_as("-RRB-")),
    Rule("---|----", write=_as("--")),
    Rule("-+"),
    Rule("\\.{3,5}|(\\.[ \u00a0]){2,4}\\.|[\u0085\u2026]", write=_as("...")),
    Rule("@+|#+|_+"),
    Rule("\\*+|(\\\\\\*){1,3}"),
    Rule("[,;:\u3001]"),
    Rule("[?!]+"),
    Rule("[.\u00a1\u00bf\u037e\u0589\u061f\u06d4\u0700-\u0702\u07fa\u3002]"),
    Rule("="),
    Rule("\\/"),
    Rule("{asciicompound}\\.", "[,;:\u3001]", write=_no_soft_hyphen),
    Rule("{asciicompound}", write=_no_soft_hyphen),
    Rule("{compound}\\.", "[,;:\u3001]"),
    Rule("{compound}"),
    Rule("{joined}\\.", "[,;:\u3001]", write=_ampersand),
    Rule("{joined}", write=_ampersand),
    Rule("'", "[A-Za-z][^ \t\n\r\u00a0]", write=_as("`")),
    Rule("{auxiliary}", write=_closing),
    Rule("{not}", write=_closing),
    Rule(
        "{quote}|''|[`\u2018\u2019\u201a-\u201f\u0091-\u0094\u2039\u203a\u00ab\u00bb]{1,2}",
        write=_closing,
    ),
    Rule("<<|>>"),
    Rule(
        "[+%&~\\^|\\\\\u00a6-\u00a9\u00ac\u00ae-\u00ba\u00d7\u00f7\u0387\u05be\u05c0\u05c3\u05c6"
        "\u05f3\u05f4\u0600-\u0603\u0606-\u060a\u060c\u0614\u061b\u061e\u066a\u066d\u0703-\u070d"
        "\u07f6-\u07f8\u0964\u0965\u0e4f\u1fbd\u2016\u2017\u2020-\u2023\u2030-\u2038\u203b\u203e-"
        "\u2042\u2044\u207a-\u207f\u208a-\u208e\u2100-\u214f\u2190-\u2bff\u3012\u30fb\uff01-\uff0f"
        "\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]"
    ),
    Rule(f"{_SPACE}+", write=_skip),
    Rule("\n"),
    Rule("&nbsp;", write=_skip),
    Rule("{any}", write=_skip),
)


@cache
def _scanner() -> Scanner:
    return Scanner(_RULES, _PARTS)


# --- tokens --------------------------------------------------------------------------------------

_PLAIN = re.compile(r"[A-Za-z]+(?=,?[ \n])|[A-Za-z]{2,}\.(?=\n\D)")
"""Words whose tokens no neighbour can change: most of a caption."""

_INK = frozenset(map(chr, range(33, 127)))
"""Characters that cannot belong to the space before them."""


@cache
def _plain(text: str) -> tuple[str, ...]:
    """The tokens of a plain word (with its full stop, at the end of a line)."""
    context = text + ("\nx" if text.endswith(".") else " ")
    tokens = []
    at = 0
    while at < len(text):
        token, at = _next(context, at)
        if token is not None:
            tokens.append(token)
    return tuple(tokens)


def _next(text: str, at: int) -> tuple[str | None, int]:
    """The token that begins at `at`, if the text there is one, and where to go on."""
    rule, end = _scanner().match(text, at)
    token = rule.write(text[at:end])
    return (None if token is None else token.lower()), end


def _tokens(text: str) -> Iterator[str]:
    """Every token of a text, line breaks among them."""
    at = 0
    while at < len(text):
        plain = _PLAIN.match(text, at)
        if plain:
            yield from _plain(plain[0])
            at = plain.end()
        elif text.startswith(" ", at) and text[at + 1 : at + 2] in _INK:
            at += 1
        else:
            token, at = _next(text, at)
            if token is not None:
                yield token


def one_line(caption: str) -> str:
    """The caption with its line breaks as spaces."""
    return caption.translate(_BREAKS)


def tokenise(captions: Sequence[str]) -> list[str]:
    r"""Tokens of each caption, parted by spaces, as pycocoevalcap's tokeniser gives them.

    The captions are read as the lines of one text, so the next caption can change the last token
    of this one; `tokenise_alone` keeps them apart. Line breaks inside a caption are read as
    spaces. (The reference does so for `\n` only; any other puts its lines out of step with the
    captions.)

    >>> tokenise(["A dog isn't grey!", "Two cats; (one) of them..."])
    ["a dog is n't grey", 'two cats -lrb- one -rrb- of them']
    """
    text = "\n".join(one_line(caption) for caption in captions)
    in_halves = not text.isascii() and max(text) > "\uffff"
    if in_halves:
        text = _in_halves(text)
    lines: list[list[str]] = [[]]
    for token in _tokens(text):
        first, *more = token.split("\n")  # markup may hold line breaks
        if first:
            lines[-1].append(first)
        lines.extend([part] if part else [] for part in more)
    found = [" ".join(_counted(line)) for line in lines[: len(captions)]]
    return [_whole(line) for line in found] if in_halves else found


def _counted(tokens: list[str]) -> list[str]:
    """The tokens that the metrics count."""
    line = " ".join(tokens).rstrip()
    return [token for token in line.split(" ") if token not in DROPPED]


def _in_halves(text: str) -> str:
    """Characters beyond U+FFFF as two surrogates: to the tokeniser they are two characters."""
    units = array("H", text.encode("utf-16-le", "surrogatepass"))
    if sys.byteorder == "big":
        units.byteswap()
    return "".join(map(chr, units))


def _whole(text: str) -> str:
    """Surrogates put together again."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def tokenise_alone(caption: str) -> str:
    """Tokens of one caption, whatever stands before or after it.

    >>> tokenise_alone("They board plan B.")
    'they board plan b.'
    """
    return tokenise([caption, ""])[0]
