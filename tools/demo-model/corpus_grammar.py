"""Grammar of the generated text: numbers in words, articles, plurals, nouns with adjectives, and sentence templates, in
English, French and Spanish."""
import re
import zlib

import corpus_stories as cs
import corpus_words as cw

LANGS = ("en", "fr", "es")
VOWELS = set("aeiouyàâäéèêëîïôöùûüœæAEIOUYÀÂÉÈÊËÎÏÔÙÛŒ")


def rows(table):
    return [line.split("|") for line in table.strip().splitlines()]


def capitalise(text):
    return text[0].upper() + text[1:]


def held_out(*items):
    """Whether this unordered combination is reserved for evaluation (one in ten): no training document contains it."""
    return zlib.crc32("|".join(sorted(map(str, items))).encode("utf-8")) % 10 == 0


def draw_names(rng, lang, count):
    """Distinct first names of one language as (name, feminine); no pair among them is held out."""
    people = []
    while len(people) < count:
        feminine = rng.random() < 0.5
        name = rng.choice(cw.NAMES[lang][feminine].split())
        if all(name != other and not held_out(name, other) for other, _ in people):
            people.append((name, feminine))
    return people


# ---------------------------------------------------------------- numbers in words
EN_SMALL = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
            "seventeen eighteen nineteen").split()
EN_TENS = "x x twenty thirty forty fifty sixty seventy eighty ninety".split()
FR_SMALL = ("zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize "
            "dix-sept dix-huit dix-neuf").split()
FR_TENS = "x x vingt trente quarante cinquante soixante".split()
ES_SMALL = ("cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis "
            "diecisiete dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco veintiséis "
            "veintisiete veintiocho veintinueve").split()
ES_TENS = "x x veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa".split()


def number_word(n, lang):
    """n in words, 0 <= n <= 199."""
    if lang == "en":
        if n >= 100:
            return "one hundred" + (" and " + number_word(n - 100, lang) if n > 100 else "")
        return EN_SMALL[n] if n < 20 else EN_TENS[n // 10] + ("-" + EN_SMALL[n % 10] if n % 10 else "")
    if lang == "es":
        if n >= 100:
            return "cien" if n == 100 else "ciento " + number_word(n - 100, lang)
        return ES_SMALL[n] if n < 30 else ES_TENS[n // 10] + (" y " + ES_SMALL[n % 10] if n % 10 else "")
    if n >= 100:
        return "cent" + (" " + number_word(n - 100, lang) if n > 100 else "")
    if n < 20:
        return FR_SMALL[n]
    if n < 70:
        unit = n % 10
        return FR_TENS[n // 10] + ("" if unit == 0 else " et un" if unit == 1 else "-" + FR_SMALL[unit])
    if n < 80:
        return "soixante et onze" if n == 71 else "soixante-" + FR_SMALL[n - 60]
    return "quatre-vingts" if n == 80 else "quatre-vingt-" + FR_SMALL[n - 80]


# ---------------------------------------------------------------- morphology
def en_article(phrase):
    return ("an " if phrase[0] in "aeiou" or phrase.startswith("honest") else "a ") + phrase


def fr_determiner(kind, phrase, feminine):
    vowel = phrase[0] in VOWELS
    if kind == "un":
        return ("une " if feminine else "un ") + phrase
    if kind == "le":
        return ("l'" if vowel else "la " if feminine else "le ") + phrase
    if kind == "du":
        return ("de l'" if vowel else "de la " if feminine else "du ") + phrase
    if kind == "au":
        return ("à l'" if vowel else "à la " if feminine else "au ") + phrase
    if kind in ("son", "mon", "ton"):
        return (kind[0] + "a " if feminine and not vowel else kind + " ") + phrase
    if kind == "ce":
        return ("cette " if feminine else "cet " if vowel else "ce ") + phrase
    raise KeyError(kind)


ES_DETERMINERS = {"un": ("un ", "una "), "el": ("el ", "la "), "del": ("del ", "de la "), "al": ("al ", "a la "),
                  "este": ("este ", "esta "), "los": ("los", "las")}
EN_PLURALS = dict(pair.split() for pair in cw.IRREGULAR_PLURALS.split("|"))


def plural(word, lang):
    if lang == "en":
        if word in EN_PLURALS:
            return EN_PLURALS[word]
        if re.search(r"(s|x|ch|sh)$", word):
            return word + "es"
        if re.search(r"[^aeiou]y$", word):
            return word[:-1] + "ies"
        return word + "s"
    if lang == "fr":
        if word == "cerf-volant":
            return "cerfs-volants"
        if word[-1] in "sxz":
            return word
        if word.endswith("al"):
            return word[:-2] + "aux"
        return word + ("x" if word.endswith("eau") or word.endswith("ou") and word == "hibou" else "s")
    if word.endswith("z"):
        return word[:-1] + "ces"
    if word in ("paraguas", "lunes"):
        return word
    if word == "robot":
        return "robots"
    if word[-2:] in ("ón", "án", "én", "ín"):
        return word[:-2] + {"ó": "o", "á": "a", "é": "e", "í": "i"}[word[-2]] + "nes"
    if word[-1] in "aeiouáéó":
        return word + "s"
    return word + "es"


class Noun:
    """A noun in the three languages, optionally with an adjective of its own."""

    def __init__(self, row):
        self.word, self.fem, self.adjective = {"en": row[0]}, {}, None
        for lang, cell in (("fr", row[1]), ("es", row[2])):
            word, gender = cell.rsplit(" ", 1)
            self.word[lang], self.fem[lang] = word, gender == "f"
        self.fem["en"] = self.fem["fr"]

    def phrase(self, lang, full):
        word = self.word[lang]
        if not full or self.adjective is None:
            return word
        english, masc, fem, position, es_masc, es_fem = self.adjective
        if lang == "en":
            return f"{english} {word}"
        if lang == "es":
            return f"{word} {es_fem if self.fem['es'] else es_masc}"
        adjective = fem if self.fem["fr"] else masc
        if position == "post":
            return f"{word} {adjective}"
        if not self.fem["fr"] and word[0] in VOWELS:
            adjective = cw.FRENCH_BEFORE_VOWEL.get(adjective, adjective)
        return f"{adjective} {word}"


class Person(Noun):
    def __init__(self, name, feminine):
        self.word = dict.fromkeys(LANGS, name)
        self.fem, self.adjective = dict.fromkeys(LANGS, feminine), None


class Kind(Noun):
    """What a character is (boy, lioness, ...): gender follows the character."""

    def __init__(self, en, fr, es, feminine):
        self.word, self.fem, self.adjective = {"en": en, "fr": fr, "es": es}, dict.fromkeys(LANGS, feminine), None


class Place(Noun):
    def __init__(self, row):
        super().__init__([row[0], row[2], row[4]])
        self.en_prep, self.fr_in, self.es_prep = row[1], row[3], row[5]


class Words:
    """A fixed phrase, or a gendered adjective, in three languages."""

    def __init__(self, row):
        self.forms = {lang: cell.split("/") for lang, cell in zip(LANGS, row)}

    def get(self, lang, feminine=False):
        return self.forms[lang][-1 if feminine else 0]


T_OBJECTS, T_FOODS, T_ANIMALS = rows(cw.OBJECTS), rows(cw.FOODS), rows(cw.ANIMALS)
T_RELATIVES, T_HELPERS, T_PLACES = rows(cw.RELATIVES), rows(cw.HELPERS), rows(cw.PLACES)
T_ADJECTIVES, T_TRAITS = rows(cw.ADJECTIVES), rows(cw.TRAITS)
T_PRAISE = [row for row in T_TRAITS if row[0] in "kind brave clever patient generous honest careful polite".split()]
T_GOOD, T_BAD, T_SPOTS = rows(cw.GOOD_MOODS), rows(cw.BAD_MOODS), rows(cw.SPOTS)
T_TIMES, T_LATER, T_SKILLS, T_KINDS = rows(cw.TIMES), rows(cw.LATER), rows(cs.SKILLS), rows(cw.CHARACTER_KINDS)
FRUITS = [row for row in T_FOODS if row[0] in
          "apple pear orange strawberry cherry lemon plum peach banana nut tomato".split()]
CONTAINERS = [row for row in T_OBJECTS if row[0] in ("basket", "bag", "box")]
STORY_ANIMALS = [row for row in T_ANIMALS if row[0] not in ("fish", "bee", "cow", "horse", "butterfly")]
ANIMAL_ADJECTIVES = [row for row in T_ADJECTIVES if row[0] in
                     "white black grey golden small big old pretty strange".split()]
# adjectives that a template applies to a noun directly: {old Q}
PLAIN_ADJECTIVES = {
    "fr": {"slow": ("lent", "lente"), "first": ("premier", "première"), "second": ("deuxième", "deuxième"),
           "strong": ("fort", "forte"), "happy": ("content", "contente"), "old": ("vieux", "vieille"),
           "pretty": ("joli", "jolie")},
    "es": {"slow": ("lento", "lenta"), "first": ("primero", "primera"), "second": ("segundo", "segunda")},
}
PRONOUNS = {
    "en": {"he": ("he", "she"), "him": ("him", "her"), "his": ("his", "her"), "himself": ("himself", "herself")},
    "fr": {"il": ("il", "elle"), "le": ("le", "la")},
    "es": {"el": ("él", "ella"), "lo": ("lo", "la")},
}


# ---------------------------------------------------------------- templates
def render_slot(slot, lang, ctx, allow_pronoun, rng):
    if slot[0] == "^":
        text = render_slot(slot[1:], lang, ctx, allow_pronoun, rng)
        return text[0].upper() + text[1:]
    if "?" in slot:
        var, forms = slot.split("?")
        masculine, feminine = forms.split("/")
        if var == "&":
            is_fem = ctx["A"].fem[lang] and ctx["B"].fem[lang]
        elif var == "%":
            is_fem = ctx["A"].fem[lang] and ctx["R"].fem[lang]
        else:
            is_fem = ctx[var].fem[lang]
        return feminine if is_fem else masculine
    if "@" in slot:
        adjective, var = slot.split("@")
        return ctx[adjective].get(lang, ctx[var].fem[lang])
    if "." in slot:
        var, pronoun = slot.split(".")
        return PRONOUNS[lang][pronoun][ctx[var].fem[lang]]
    if slot == "A~":
        if allow_pronoun and rng.random() < 0.6:
            if lang == "es":
                return "" if rng.random() < 0.7 else PRONOUNS["es"]["el"][ctx["A"].fem["es"]]
            return PRONOUNS[lang]["he" if lang == "en" else "il"][ctx["A"].fem[lang]]
        return ctx["A"].word[lang]
    full = slot.endswith("+")
    parts = slot.rstrip("+").split(" ")
    entity = ctx[parts[-1]]
    functions = parts[:-1]
    if isinstance(entity, int):
        return number_word(entity, lang)
    if isinstance(entity, Words):
        text = entity.get(lang)
        return en_article(text) if functions == ["a"] else text
    text, feminine = entity.phrase(lang, full), entity.fem[lang]
    for function in reversed(functions):
        if function == "in" and lang == "fr":
            text = entity.fr_in
        elif function == "in" and lang == "en":
            text = f"{entity.en_prep} the {text}"
        elif function == "in":
            text = ES_DETERMINERS["el"][feminine] + text
            text = "en " + text if entity.es_prep == "en" else "junto a " + text
        elif function == "to":
            text = "to the " + text
        elif function == "the":
            text = "the " + text
        elif function == "a":
            text = en_article(text)
        elif function == "pl":
            text = plural(text, lang)
        elif function == "walk":
            text = "jusqu'" + fr_determiner("au", text, feminine)
        elif function in ("petit", "pequeño"):
            adjective = {"petit": ("petit", "petite"), "pequeño": ("pequeño", "pequeña")}[function][feminine]
            text = f"{adjective} {text}"
        elif function in PLAIN_ADJECTIVES.get(lang, ()):
            text = PLAIN_ADJECTIVES[lang][function][feminine]
        elif lang == "fr" and function in ("de", "que"):
            text = (function[:-1] + "'" if text[0] in VOWELS else function + " ") + text
        elif lang == "fr":
            text = fr_determiner(function, text, feminine)
        elif function == "los":
            text = ES_DETERMINERS["los"][feminine]
        else:
            text = ES_DETERMINERS[function][feminine] + text
    return text


SLOT = re.compile(r"\{([^}]*)\}")
SENTENCE_START = re.compile(r"(^[«\"—¡¿“ ]*|[.!?] [«\"¡¿ ]*)([a-zà-ÿœ])")


def render(template, lang, ctx, rng, allow_pronoun=False):
    text = SLOT.sub(lambda m: render_slot(m.group(1), lang, ctx, allow_pronoun, rng), template)
    if lang == "es":
        text = text.replace(" a el ", " al ").replace(" de el ", " del ").replace("junto a el ", "junto al ")
        text = re.sub(r"\by (?=[IiÍí])", "e ", text)  # "Juan e Isabel"
    text = re.sub(r" {2,}", " ", text).replace("¡ ", "¡").strip()
    return SENTENCE_START.sub(lambda m: m.group(1) + m.group(2).upper(), text)
