"""Sentences for well-known circuits: indirect objects, and subject-verb and gender agreement across attractors.

Each function that makes a training document has a twin that makes held-out test items from the same templates. Combinations
for which corpus_grammar.held_out is true (pairs of names; pairs of subject and attractor nouns) appear only in test items.
"""
from corpus_grammar import (ES_DETERMINERS, LANGS, T_ANIMALS, T_FOODS, T_HELPERS, T_OBJECTS, T_PLACES, T_ADJECTIVES, T_TIMES, Noun,
                            Person, Place, Words, VOWELS, draw_names, held_out, plural, render,
                            render_slot, rows)
import corpus_stories as cs
import corpus_words as cw

# ---------------------------------------------------------------- indirect objects
# A and B are the two people, G the giver (one of them), I the other one; %s is the action up to and including "to"
OPENINGS = {"en": """
When {A} and {B} went {to P}, {G} %s
When {A} and {B} were {in P}, {G} %s
After {A} and {B} went {to P}, {G} %s
While {A} and {B} were working {in P}, {G} %s
{A} and {B} met {in P}. There, {G} %s
{A} and {B} went {to P} together. Later, {G} %s
{A} and {B} had lunch {in P}. Afterwards, {G} %s
Then, {A} and {B} went {to P}, and {G} %s
{T}, {A} and {B} were {in P}, and {G} %s
{T}, {A} and {B} walked {to P}. On the way, {G} %s
{A} and {B} were sitting {in P}. # Then {G} %s
There were two friends, {A} and {B}. # {T}, {G} %s
""", "fr": """
Quand {A} et {B} allèrent {in P}, {G} %s
Quand {A} et {B} étaient {in P}, {G} %s
Pendant {que A} et {B} travaillaient {in P}, {G} %s
{A} et {B} se rencontrèrent {in P}. Là, {G} %s
{A} et {B} allèrent ensemble {in P}. Plus tard, {G} %s
{A} et {B} déjeunèrent {in P}. Ensuite, {G} %s
Puis {A} et {B} allèrent {in P}, et {G} %s
{T}, {A} et {B} étaient {in P}, et {G} %s
{T}, {A} et {B} marchèrent {walk P}. En chemin, {G} %s
{A} et {B} jouaient {in P}. # Alors {G} %s
Quand {A} et {B} revinrent à la maison, {G} %s
""", "es": """
Cuando {A} y {B} fueron {al P}, {G} %s
Cuando {A} y {B} estaban {in P}, {G} %s
Mientras {A} y {B} trabajaban {in P}, {G} %s
{A} y {B} se encontraron {in P}. Allí, {G} %s
{A} y {B} fueron juntos {al P}. Más tarde, {G} %s
{A} y {B} comieron {in P}. Después, {G} %s
Luego {A} y {B} fueron {al P}, y {G} %s
{T}, {A} y {B} estaban {in P}, y {G} %s
{T}, {A} y {B} caminaron hasta {el P}. En el camino, {G} %s
{A} y {B} jugaban {in P}. # Entonces {G} %s
Cuando {A} y {B} volvieron a casa, {G} %s
"""}
ACTIONS = {"en": """
gave {a O+} to
gave {a O} to
gave {a F} to
gave a drink to
handed {a O+} to
showed {a O+} to
lent {a O+} to
sold {a O+} to
offered {a F} to
brought {a F} to
threw {a O} to
sent a letter to
read a story to
told a secret to
said goodbye to
decided to give {a O+} to
wanted to show {a O+} to
""", "fr": """
donna {un O+} à
donna {un O} à
donna {un F} à
donna à boire à
tendit {un O+} à
montra {un O+} à
prêta {un O+} à
vendit {un O+} à
offrit {un F} à
apporta {un F} à
lança {un O} à
envoya une lettre à
lut une histoire à
confia un secret à
dit au revoir à
décida de donner {un O+} à
voulut montrer {un O+} à
""", "es": """
le dio {un O+} a
le dio {un O} a
le dio {un F} a
le dio de beber a
le entregó {un O+} a
le enseñó {un O+} a
le prestó {un O+} a
le vendió {un O+} a
le ofreció {un F} a
le llevó {un F} a
le lanzó {un O} a
le envió una carta a
le leyó un cuento a
le contó un secreto a
le dijo adiós a
decidió darle {un O+} a
quiso enseñarle {un O+} a
"""}
THANKS = {"en": """
{I} thanked {G}.
{I} smiled at {G}.
"Thank you, {G}!" said {I}.
{I} was very happy, and {G} was happy too.
""", "fr": """
{I} remercia {G}.
{I} sourit à {G}.
« Merci, {G} ! » dit {I}.
{I} sauta de joie, et {G} aussi.
""", "es": """
{I} le dio las gracias a {G}.
{I} le sonrió a {G}.
—¡Gracias, {G}! —dijo {I}.
{I} saltó de alegría, y {G} también.
"""}
THROWN = {"ball", "hat", "key", "coin", "rope", "bag", "glove", "pillow"}
LENDABLE = [row for row in T_OBJECTS if row[0] not in ("train", "plane", "boat", "stone")]
OPENINGS, ACTIONS, THANKS = ({lang: text.strip().split("\n") for lang, text in table.items()}
                             for table in (OPENINGS, ACTIONS, THANKS))
WEATHER = [line.split(" | ") for line in cs.POOLS["WEATHER"].strip().split("\n")]


def gift_context(rng, people, swapped):
    """Slots of one giving scene between two people; swapped: the second one gives."""
    ctx = dict(zip("AB", (Person(*p) for p in people)))
    ctx["G"], ctx["I"] = (ctx["B"], ctx["A"]) if swapped else (ctx["A"], ctx["B"])
    ctx["O"], ctx["F"] = Noun(rng.choice(LENDABLE)), Noun(rng.choice(T_FOODS))
    ctx["O"].adjective = rng.choice(T_ADJECTIVES)
    ctx["P"], ctx["T"] = Place(rng.choice(T_PLACES)), Words(rng.choice(T_TIMES))
    return ctx


def gift_template(rng, lang, ctx):
    action = rng.choice(ACTIONS[lang])
    if action.split()[0] in ("threw", "lança") or "lanzó" in action:
        ctx["O"] = Noun(rng.choice([row for row in T_OBJECTS if row[0] in THROWN]))
    opening = rng.choice(OPENINGS[lang]).replace(" #", " " + rng.choice(WEATHER)[LANGS.index(lang)] if rng.random() < 0.5 else "")
    return opening % action


def indirect(rng):
    """A training document: a few scenes of giving among the same few people."""
    lang = rng.choice(LANGS)
    people, scenes = draw_names(rng, lang, rng.randint(2, 6)), []
    for _ in range(rng.randint(2, 7)):
        ctx = gift_context(rng, rng.sample(people, 2), rng.random() < 0.5)
        text = render(gift_template(rng, lang, ctx) + " {I}.", lang, ctx, rng)
        if rng.random() < 0.35:
            text += " " + render(rng.choice(THANKS[lang]), lang, ctx, rng)
        scenes.append(text)
    return rng.choice((" ", " ", "\n", "\n\n")).join(scenes)


def indirect_test(rng, lang):
    """(prompt, right name, wrong name, corrupted prompt, its right name) with a held-out pair of names. In the corrupted
    prompt the other person gives, so the two prompts have equal length wherever the two names have."""
    while True:
        people = [(name, feminine) for feminine in (False, True) for name in cw.NAMES[lang][feminine].split()]
        pair = rng.sample(people, 2)
        if held_out(pair[0][0], pair[1][0]):
            break
    swapped = rng.random() < 0.5
    ctx = gift_context(rng, pair, swapped)
    template = gift_template(rng, lang, ctx)
    twin = dict(ctx, G=ctx["I"], I=ctx["G"])
    return (render(template, lang, ctx, rng), ctx["I"].word[lang], ctx["G"].word[lang], render(template, lang, twin, rng),
            twin["I"].word[lang])


# ---------------------------------------------------------------- agreement
# English | French masculine | feminine | Spanish masculine | feminine | Spanish verb: s(er) or e(star)
THING_ADJECTIVES = rows("""
old|vieux|vieille|viejo|vieja|s
new|neuf|neuve|nuevo|nueva|s
red|rouge|rouge|rojo|roja|s
white|blanc|blanche|blanco|blanca|s
black|noir|noire|negro|negra|s
green|vert|verte|verde|verde|s
blue|bleu|bleue|azul|azul|s
small|petit|petite|pequeño|pequeña|s
big|grand|grande|grande|grande|s
round|rond|ronde|redondo|redonda|s
beautiful|beau|belle|bonito|bonita|s
expensive|cher|chère|caro|cara|s
heavy|lourd|lourde|pesado|pesada|s
dirty|sale|sale|sucio|sucia|e
clean|propre|propre|limpio|limpia|e
wet|mouillé|mouillée|mojado|mojada|e
broken|cassé|cassée|roto|rota|e
lost|perdu|perdue|perdido|perdida|e
hidden|caché|cachée|escondido|escondida|e
""")
LIVING_ADJECTIVES = rows("""
tired|fatigué|fatiguée|cansado|cansada|e
happy|content|contente|contento|contenta|e
quiet|calme|calme|tranquilo|tranquila|e
alone|seul|seule|solo|sola|e
ready|prêt|prête|listo|lista|e
lost|perdu|perdue|perdido|perdida|e
hidden|caché|cachée|escondido|escondida|e
small|petit|petite|pequeño|pequeña|s
big|grand|grande|grande|grande|s
old|vieux|vieille|viejo|vieja|s
hungry|affamé|affamée|hambriento|hambrienta|e
hurt|blessé|blessée|herido|herida|e
awake|réveillé|réveillée|despierto|despierta|e
asleep|endormi|endormie|dormido|dormida|e
""")
FOOD_ADJECTIVES = rows("""
fresh|frais|fraîche|fresco|fresca|e
delicious|délicieux|délicieuse|delicioso|deliciosa|e
small|petit|petite|pequeño|pequeña|s
big|grand|grande|grande|grande|s
hidden|caché|cachée|escondido|escondida|e
expensive|cher|chère|caro|cara|s
""")
# English | French | Spanish, singular/plural
BEING = {"en": (("is", "are"), ("was", "were")), "fr": (("est", "sont"), ("était", "étaient")),
         "s": (("es", "son"), ("era", "eran")), "e": (("está", "están"), ("estaba", "estaban"))}
LIVING_VERBS = rows("""
sleeps/sleep|dort/dorment|duerme/duermen
sings/sing|chante/chantent|canta/cantan
waits/wait|attend/attendent|espera/esperan
eats/eat|mange/mangent|come/comen
dances/dance|danse/dansent|baila/bailan
works/work|travaille/travaillent|trabaja/trabajan
runs/run|court/courent|corre/corren
arrives/arrive|arrive/arrivent|llega/llegan
""")
WHERE = rows("""
near|près de|cerca de
behind|derrière|detrás de
under|sous|debajo de
next to|à côté de|al lado de
in front of|devant|delante de
""")
NOT_UNDER = [row for row in WHERE if row[0] != "under"]  # for people and places
WANTING = rows("""
wants/want|cherche/cherchent|busca/buscan
likes/like|préfère/préfèrent|prefiere/prefieren
knows/know|connaît/connaissent|conoce/conocen
""")
THINGS = [("thing", row) for row in T_OBJECTS]
LIVING = [("living", row) for row in T_ANIMALS + T_HELPERS]
FOODS = [("food", row) for row in T_FOODS]
PLACE_NOUNS = [[row[0], row[2], row[4]] for row in T_PLACES]
ADJECTIVES_OF = {"thing": THING_ADJECTIVES, "living": LIVING_ADJECTIVES, "food": FOOD_ADJECTIVES}


def the(noun, lang, many):
    word = plural(noun.word[lang], lang) if many else noun.word[lang]
    if lang == "en":
        return "the " + word
    if lang == "es":
        return (("las " if noun.fem["es"] else "los ") + word) if many else ES_DETERMINERS["el"][noun.fem["es"]] + word
    return "les " + word if many else "l'" + word if word[0] in VOWELS else ("la " if noun.fem["fr"] else "le ") + word


def contract(text, lang):
    if lang == "fr":
        return text.replace(" de les ", " des ").replace(" de le ", " du ")
    return text.replace(" de el ", " del ") if lang == "es" else text


def adjective_forms(row, lang, many):
    """(masculine, feminine) of an adjective."""
    if lang == "en":
        return row[0], row[0]
    masculine, feminine = row[1:3] if lang == "fr" else row[3:5]
    if not many:
        return masculine, feminine
    if lang == "es":
        return plural(masculine, "es"), plural(feminine, "es")
    return (masculine if masculine[-1] in "sx" else masculine + ("x" if masculine.endswith("eau") else "s")), feminine + "s"


def agreement_item(rng, lang, test=False):
    """Parts of one sentence: prompt up to the verb, forms of "to be" (right, wrong), adjectives (right, other gender), and
    other ways to end. In a test item the pair of nouns is held out and the attractor differs in number from the subject."""
    column = LANGS.index(lang)
    while True:
        kind, row = rng.choice(rng.choice((THINGS, THINGS, LIVING, FOODS)))
        attractor_row = rng.choice(rng.choice((T_OBJECTS, PLACE_NOUNS, T_HELPERS)))
        if row[0] != attractor_row[0] and held_out(row[0], attractor_row[0]) == test:
            break
    noun, attractor, many = Noun(row), Noun(attractor_row), rng.random() < 0.5
    other = not many if test else rng.random() < 0.5
    subject = the(noun, lang, many)
    person = attractor_row in T_HELPERS
    if not test and rng.random() < 0.12:
        pass  # no attractor at all
    elif person and rng.random() < 0.8:
        verb = rng.choice(WANTING if kind == "living" else WANTING[:2])[column].split("/")[other]
        who = the(attractor, lang, other)
        subject += {"en": f" that {who} {verb}", "fr": f" que {who} {verb}",
                    "es": f" que {verb} {who}"}[lang]
    else:
        where = rng.choice(WHERE if attractor_row in T_OBJECTS else NOT_UNDER)
        subject += f" {where[column]} {the(attractor, lang, other)}"
        if not test and rng.random() < 0.15:
            third_row = rng.choice(T_OBJECTS)
            if third_row[0] not in (row[0], attractor_row[0]) and not held_out(row[0], third_row[0]):
                subject += f" {rng.choice(WHERE)[column]} {the(Noun(third_row), lang, rng.random() < 0.5)}"
    adjective = rng.choice(ADJECTIVES_OF[kind])
    tense = rng.random() < 0.3
    forms = BEING[adjective[5] if lang == "es" else lang][tense]
    genders = adjective_forms(adjective, lang, many)
    feminine = noun.fem[lang]
    subject = contract(" " + subject, lang).strip()
    return {"subject": subject[0].upper() + subject[1:], "many": many, "kind": kind, "be": (forms[many], forms[not many]),
            "adjective": (genders[feminine], genders[not feminine]), "tense": tense,
            "attractor_feminine": attractor.fem[lang], "feminine": feminine}


def agreement(rng):
    """A training document: sentences with a subject, mostly an attractor, and a verb or adjective that agrees."""
    lang = rng.choice(LANGS)
    column, lines = LANGS.index(lang), []
    for _ in range(rng.randint(4, 10)):
        item = agreement_item(rng, lang)
        roll = rng.random()
        if item["kind"] == "living" and roll < 0.35:
            end = rng.choice(LIVING_VERBS)[column].split("/")[item["many"]]
        elif roll < 0.5:
            where = Place(rng.choice(T_PLACES))
            be = BEING["e" if lang == "es" else lang][item["tense"]][item["many"]]
            end = be + " " + render_slot("in P", lang, {"P": where}, False, rng)
        else:
            end = f"{item['be'][0]} {item['adjective'][0]}"
            if rng.random() < 0.15 and not item["tense"]:
                more = rng.choice(ADJECTIVES_OF[item["kind"]])
                genders = adjective_forms(more, lang, item["many"])[item["feminine"]]
                verb = BEING[more[5] if lang == "es" else lang][0][item["many"]]
                if genders != item["adjective"][0]:
                    end += {"en": " and ", "fr": " et "}.get(lang, " y ")
                    end += (verb + " " if verb != item["be"][0] else "") + genders
        lines.append(f"{item['subject']} {end}.")
    return rng.choice((" ", "\n")).join(lines)


def agreement_test(rng, lang):
    """An agreement_item with a held-out pair of nouns and an attractor of the other number."""
    return agreement_item(rng, lang, test=True)
