"""Ordinary documents in which names, phrases and lines come back: songs, dialogues, letters, descriptions of invented places,
records with questions, recipes, chain tales, plans of a week, retellings, and passages given twice."""
from corpus_grammar import (LANGS, T_ADJECTIVES, T_ANIMALS, T_FOODS, T_OBJECTS, T_PLACES, T_TRAITS, VOWELS, Noun, Person, Place, Words,
                            capitalise, draw_names, render, rows)
import corpus_words as cw

SYLLABLES = "ba be bo da do fa fi ga go ka ki la li lo lu ma mi mo na ne ni no pa pi po ra re ri ro sa se so ta ti to va ve vi za zo".split()
CITY_ROWS = [row for row in rows(cw.COUNTRIES) if " " not in row[3] + row[4] + row[5]]


def invented_name(rng):
    """A name no list holds, of several pieces: only looking back can predict its second part."""
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 4))).capitalize()


def scene(rng, people):
    """Slots for the templates below: up to three people A, B, C and things, drawn at random."""
    ctx = dict(zip("ABC", (Person(*p) for p in people)))
    for var, table in (("O", T_OBJECTS), ("Q", T_OBJECTS)):
        ctx[var] = Noun(rng.choice(table))
        ctx[var].adjective = rng.choice(T_ADJECTIVES)
    ctx["F"], ctx["N"] = Noun(rng.choice(T_FOODS)), Noun(rng.choice(T_ANIMALS))
    first, second = rng.sample(T_PLACES, 2)
    ctx["P"], ctx["P2"] = Place(first), Place(second)
    ctx["S"], ctx["X"], ctx["n"] = Words(rng.choice(rows(cw.SPOTS))), Words(rng.choice(T_TRAITS)), rng.randint(2, 12)
    return ctx


def triples(text):
    return [line.split(" | ") for line in text.strip().split("\n")]


def from_template(rng, lang, table, people):
    return render(rng.choice(table)[LANGS.index(lang)], lang, scene(rng, people), rng)


SONG = triples("""
Sing with me, {A}, sing with me, {B}, | Chante avec moi, {A}, chante avec moi, {B}, | Canta conmigo, {A}, canta conmigo, {B},
the sun comes up and the night is gone, | le soleil se lève et la nuit s'en va, | sale el sol y se va la noche,
{a O+} for you, {a O} for me, | {un O+} pour toi, {un O} pour moi, | {un O+} para ti, {un O} para mí,
we walk {to P} and we come back home, | nous allons {in P} et nous rentrons chez nous, | vamos {al P} y volvemos a casa,
{the N} is dancing {in P}, | {le N} danse {in P}, | {el N} baila {in P},
who has seen my {O}, my little {O}? | qui a vu {mon O}, {mon O} perdu{O?/e} ? | ¿quién ha visto mi {O}, mi {O} perdid{O?o/a}?
give me {a F}, give me {a F}, | donne-moi {un F}, donne-moi {un F}, | dame {un F}, dame {un F},
the wind is cold, but my heart is warm, | le vent est froid, mais mon cœur est chaud, | el viento es frío, pero mi corazón no,
one star, two stars, three stars in the sky, | une étoile, deux étoiles, trois étoiles au ciel, | una estrella, dos estrellas, tres estrellas en el cielo,
do not cry, {A}, do not cry, {B}, | ne pleure pas, {A}, ne pleure pas, {B}, | no llores, {A}, no llores, {B},
the river runs and never sleeps, | la rivière court et ne dort jamais, | el río corre y nunca duerme,
tomorrow we will dance again, | demain nous danserons encore, | mañana bailaremos otra vez,
my {O} is lost, it is {S}, | {mon O} est perdu{O?/e}, il faut chercher {S}, | mi {O} está {S}, mi {O} está {S},
""")


def song(rng, lang):
    people = draw_names(rng, lang, 2)
    def verse(count):
        lines = [from_template(rng, lang, SONG, people).rstrip(",") for _ in range(count)]
        lines = [line[0].lower() + line[1:] if i and line.split(",")[0] not in (people[0][0], people[1][0]) else capitalise(line)
                 for i, line in enumerate(lines)]
        end = "" if lines[-1][-1] == "?" else {"en": "!", "fr": " !", "es": "."}[lang]
        return ",\n".join(lines) + end
    refrain = verse(rng.randint(2, 4))
    parts = []
    for _ in range(rng.randint(2, 4)):
        parts += [verse(rng.randint(2, 4)), refrain]
    return "\n\n".join(parts).replace("?,", "?")


TALK = triples("""
Where is {the O+}?#{the O+} is {S}. | Où est {le O+} ?#{le O+} est {S}. | ¿Dónde está {el O+}?#{el O+} está {S}.
Do you have {a O+}?#Yes, I have {a O+}, and it is for you. | As-tu {un O+} ?#Oui, j'ai {un O+}, et c'est pour toi. | ¿Tienes {un O+}?#Sí, tengo {un O+}, y es para ti.
Did you see {the N} {in P}?#No, I did not see {the N} {in P}. | As-tu vu {le N} {in P} ?#Non, je n'ai pas vu {le N} {in P}. | ¿Has visto {el N} {in P}?#No, no he visto {el N} {in P}.
I want to go {to P}.#I want to go {to P} too! | Je veux aller {in P}.#Moi aussi, je veux aller {in P} ! | Quiero ir {al P}.#¡Yo también quiero ir {al P}!
How many {pl F} do you want?#I want {n} {pl F}.#{n} {pl F}? That is a lot! | Combien de {pl F} veux-tu ?#Je veux {n} {pl F}.#{n} {pl F} ? C'est beaucoup ! | ¿{F?Cuántos/Cuántas} {pl F} quieres?#Quiero {n} {pl F}.#¿{n} {pl F}? ¡Es mucho!
Look, {a N} {in P}!#{a N} {in P}? I do not believe you. | Regarde, {un N} {in P} !#{un N} {in P} ? Je ne te crois pas. | ¡Mira, {un N} {in P}!#¿{un N} {in P}? No te creo.
Who took my {O}?#{C} took your {O}. | Qui a pris {mon O} ?#C'est {C} qui a pris {ton O}. | ¿Quién ha cogido mi {O}?#{C} ha cogido tu {O}.
What is {S}?#There is {a O+} {S}. | Qu'y a-t-il {S} ?#Il y a {un O+} {S}. | ¿Qué hay {S}?#Hay {un O+} {S}.
Say "good evening".#Good evening!#Say it again.#Good evening, good evening! | Dis « bonsoir ».#Bonsoir !#Dis-le encore.#Bonsoir, bonsoir ! | Di «buenas noches».#¡Buenas noches!#Dilo otra vez.#¡Buenas noches, buenas noches!
""")


def talk(rng, lang):
    """A play: speakers' names before every line, answers that take up the question."""
    people = draw_names(rng, lang, 3)
    speakers = [people[0][0], people[1][0]]
    colon = " : " if lang == "fr" else ": "
    lines, turn = [], 0
    for _ in range(rng.randint(3, 8)):
        for line in from_template(rng, lang, TALK, people).split("#"):
            lines.append(f"{speakers[turn % 2]}{colon}{render(line, lang, {}, rng)}")  # capital at the start
            turn += 1
    return "\n".join(lines)


def passage(rng, lang, people, count):
    return " ".join(from_template(rng, lang, NEWS, people) for _ in range(count))


NEWS = triples("""
Yesterday {A} came {to P} with {a O+}. | Hier, {A} est venu{A?/e} {in P} avec {un O+}. | Ayer {A} vino {al P} con {un O+}.
I have found {a O+} {S}. | J'ai trouvé {un O+} {S}. | He encontrado {un O+} {S}.
We were {in P} when {a N} came. | Nous étions {in P} quand {un N} est arrivé{N?/e}. | Estábamos {in P} cuando llegó {un N}.
My {O} is {S}, and I cannot find it. | {mon O} est {S}, et je ne {O.le} trouve pas. | Mi {O} está {S}, y no {O.lo} encuentro.
{A} bought {n} {pl F} {in P}. | {A} a acheté {n} {pl F} {in P}. | {A} ha comprado {n} {pl F} {in P}.
{B} wants to sell {a O+} and buy {a Q+}. | {B} veut vendre {un O+} et acheter {un Q+}. | {B} quiere vender {un O+} y comprar {un Q+}.
Every day I go from {the P} to {the P2}. | Chaque jour, je vais {du P} {au P2}. | Cada día voy {del P} {al P2}.
{A} is very {X} and always helps {B}. | {A} est très {X@A} et aide toujours {B}. | {A} es muy {X@A} y siempre ayuda a {B}.
The children ate {n} {pl F}. | Les enfants ont mangé {n} {pl F}. | Los niños han comido {n} {pl F}.
There is {a Q+} next to {the O+}. | Il y a {un Q+} à côté {du O+}. | Hay {un Q+} al lado {del O+}.
""")
QUOTES = {"en": ('"{}"', '"{}"'), "fr": ("« {} »", "« {} »"), "es": ("«{}»", "«{}»")}
LETTER = {"en": ("Dear {b},", "Yours, {a}", "You wrote: {q}", "Thank you for your letter.", "I read it again and again: {q}",
                 "Please write to me soon."),
          "fr": ("{dear} {b},", "Ton ami{e} {a}", "Tu as écrit : {q}", "Merci pour ta lettre.", "Je l'ai relue bien des fois : {q}",
                 "Écris-moi vite."),
          "es": ("{dear} {b}:", "Un abrazo, {a}", "Escribiste: {q}", "Gracias por tu carta.", "La leo una y otra vez: {q}",
                 "Escríbeme pronto.")}


def letters(rng, lang):
    """A letter and its answer, which quotes it word for word."""
    people = draw_names(rng, lang, 2)
    quoted = passage(rng, lang, people, rng.randint(1, 3))
    opening, closing, wrote, thanks, again, soon = LETTER[lang]

    def letter(writer, reader, parts):
        dear = {"fr": ("Cher", "Chère"), "es": ("Querido", "Querida")}.get(lang, ("", ""))[reader[1]]
        values = {"a": writer[0], "b": reader[0], "dear": dear, "e": "e" * writer[1], "q": QUOTES[lang][0].format(quoted)}
        lines = [opening] + parts + [closing]
        return "\n".join(line.format(**values) if "{" in line else line for line in lines)
    own = lambda count: passage(rng, lang, people, count)
    first = letter(people[0], people[1], [own(1), quoted, own(1)] + [soon] * (rng.random() < 0.5))
    second = letter(people[1], people[0], [thanks, wrote, own(1)] + [again] * (rng.random() < 0.4))
    return first + "\n\n" + second


RETELL = {"en": ("{a} said: {q}", "{b} did not hear it.", "{a} said it again: {q}", "Then {b} repeated slowly: {q}",
                 "So they both said: {q}"),
          "fr": ("{a} dit : {q}", "{b} n'avait pas entendu.", "{a} répéta : {q}", "Puis {b} répéta lentement : {q}",
                 "Alors tous dirent ensemble : {q}"),
          "es": ("{a} dijo: {q}", "{b} no lo había oído.", "{a} lo dijo otra vez: {q}", "Luego {b} repitió despacio: {q}",
                 "Entonces todos dijeron a la vez: {q}")}


def retelling(rng, lang):
    people = draw_names(rng, lang, 2)
    text = passage(rng, lang, people, rng.randint(1, 4))
    pattern = [0, 1, 2, 3, 4] if rng.random() < 0.4 else rng.choice(([0, 3], [0, 1, 2], [0, 3, 4], [0, 1, 2, 3]))
    values = {"a": people[0][0], "b": people[1][0], "q": QUOTES[lang][0].format(text)}
    return rng.choice((" ", "\n")).join(RETELL[lang][i].format(**values) for i in pattern)


INVENTED = triples("""
{Z} is a small village near {the P}. | {Z} est un petit village près {du P}. | {Z} es un pueblo pequeño cerca {del P}.
In {Z}, everyone has {a O+}. | À {Z}, tout le monde a {un O+}. | En {Z}, todo el mundo tiene {un O+}.
The people of {Z} love {pl F}. | Les gens de {Z} aiment beaucoup les {pl F}. | La gente de {Z} come much{F?os/as} {pl F}.
From {Z} to {W} it is {n} days on foot. | De {Z} à {W}, il y a {n} jours de marche. | De {Z} a {W} hay {n} días a pie.
{A} was born in {Z} and now lives in {W}. | {A} est né{A?/e} à {Z} et vit maintenant à {W}. | {A} nació en {Z} y ahora vive en {W}.
Have you ever been to {Z}? | Es-tu déjà allé à {Z} ? | ¿Has estado alguna vez en {Z}?
The king of {Z} and the queen of {W} are friends. | Le roi de {Z} et la reine de {W} sont amis. | El rey de {Z} y la reina de {W} son amigos.
There is {a N} in {Z} that can sing. | Il y a à {Z} {un N} qui sait chanter. | En {Z} hay {un N} que sabe cantar.
Every summer, {B} goes back to {Z}. | Chaque été, {B} retourne à {Z}. | Cada verano, {B} vuelve a {Z}.
Long ago, {Z} was bigger than {W}. | Autrefois, {Z} était plus grand que {W}. | Hace mucho tiempo, {Z} era más grande que {W}.
The road to {W} begins {in P}. | La route de {W} commence {in P}. | El camino de {W} empieza {in P}.
"I want to see {W}," said {A}. | « Je veux voir {W} », dit {A}. | —Quiero ver {W} —dijo {A}.
""")


def invented(rng, lang):
    people = draw_names(rng, lang, 2)
    names = {"Z": invented_name(rng), "W": invented_name(rng)}
    names = {k: "V" + v.lower() if v[0] in "AEIOU" else v for k, v in names.items()}
    lines = []
    for line in [INVENTED[0]] + rng.sample(INVENTED[1:], rng.randint(3, 10)):
        text = line[LANGS.index(lang)].replace("{Z}", names["Z"]).replace("{W}", names["W"])
        lines.append(render(text, lang, scene(rng, people), rng))
    return rng.choice((" ", "\n")).join(lines)


RECORD = {"en": ("{a} lives in {c} and has {o}.", "Where does {a} live? In {c}.", "What does {a} have? {o}.", "Who has {o}? {a}.",
                 "Who lives in {c}? {a}."),
          "fr": ("{a} habite à {c} et a {o}.", "Où habite {a} ? À {c}.", "Que possède {a} ? {o}.", "Qui a {o} ? {a}.", "Qui habite à {c} ? {a}."),
          "es": ("{a} vive en {c} y tiene {o}.", "¿Dónde vive {a}? En {c}.", "¿Qué tiene {a}? {o}.", "¿Quién tiene {o}? {a}.",
                 "¿Quién vive en {c}? {a}.")}


def records(rng, lang):
    """Who lives where and has what, then questions about it: the answers stand only in this document."""
    column = LANGS.index(lang)
    people = draw_names(rng, lang, rng.randint(2, 6))
    cities = rng.sample([row for row in CITY_ROWS if row[4] != "Mexico"], len(people))
    things = rng.sample(T_OBJECTS, len(people))
    entries = []
    for (name, _), city, thing in zip(people, cities, things):
        noun = Noun(thing)
        noun.adjective = rng.choice(T_ADJECTIVES)
        slot = "a O+" if lang == "en" else "un O+"
        thing = render("x {%s}" % slot, lang, {"O": noun}, rng)[2:]
        entries.append({"a": name, "c": city[3 + column], "o": thing})
    lines = [capitalise(RECORD[lang][0].format(**e)) for e in entries]
    for _ in range(rng.randint(2, 8)):
        entry = rng.choice(entries)
        form = rng.choice(RECORD[lang][1:])
        if form.endswith("{o}."):
            form = form.replace(" {o}.", " " + capitalise(entry["o"]) + ".")
        lines.append(form.format(**entry))
    return rng.choice((" ", "\n", "\n")).join(lines)


RECIPE = {"en": ("For the soup of {a} you need {list}.", "First, take {x}.", "Then add {x}.", "Wait a little and add {x}.",
                 "At the end, add {x} too.", "Now you have everything: {list}."),
          "fr": ("Pour la soupe de {a}, il faut {list}.", "D'abord, prends {x}.", "Puis ajoute {x}.", "Attends un peu et ajoute {x}.",
                 "À la fin, ajoute encore {x}.", "Maintenant, tout y est : {list}."),
          "es": ("Para la sopa de {a} hacen falta {list}.", "Primero, toma {x}.", "Luego añade {x}.", "Espera un poco y añade {x}.",
                 "Al final, añade también {x}.", "Ahora está todo: {list}.")}


def recipe(rng, lang):
    name = rng.choice([n for names in cw.NAMES[lang] for n in names.split() if n[0] not in VOWELS])  # no elision after "de"
    parts = []
    for row in rng.sample(T_FOODS, rng.randint(3, 5)):
        count = rng.randint(2, 9)
        parts.append(render("x {n} {pl F}", lang, {"n": count, "F": Noun(row)}, rng)[2:])
    joined = ", ".join(parts[:-1]) + {"en": " and ", "fr": " et ", "es": " y "}[lang] + parts[-1]
    first, *middle, last, everything = RECIPE[lang][1:]
    lines = [RECIPE[lang][0].format(a=name, list=joined), first.format(x=parts[0])]
    lines += [rng.choice(middle).format(x=x) for x in parts[1:-1]] + [last.format(x=parts[-1])]
    if rng.random() < 0.6:
        lines.append(everything.format(list=joined))
    return rng.choice((" ", "\n")).join(lines)


CHAIN = {"en": ("This is the {x} that {a} saw.", "This is the {y} that {v} the {x}", " that {a} saw.",
                "chased found followed carried woke pushed".split()),
         "fr": ("Voici {x} {que}{a} a vu{e}.", "Voici {y} qui a {v} {x}", " {que}{a} a vu{e}.",
                "poursuivi trouvé suivi porté réveillé poussé".split()),
         "es": ("Aquí está {x} que vio {a}.", "Aquí está {y} que {v} {ax}", " que vio {a}.",
                "persiguió encontró siguió llevó despertó empujó".split())}


def chain(rng, lang):
    """A tale that grows: every line repeats all earlier ones."""
    (name, _), = draw_names(rng, lang, 1)
    nouns = [Noun(row) for row in rng.sample(T_ANIMALS, rng.randint(3, 6))]
    the = [render("x {%s N}" % {"en": "the", "fr": "le", "es": "el"}[lang], lang, {"N": n}, rng)[2:] for n in nouns]
    start, link, end, verbs = CHAIN[lang]
    e = "e" if nouns[0].fem["fr"] else ""
    bare = [t[4:] for t in the] if lang == "en" else the
    que = "qu'" if name[0] in "AEIOUÉYÓÁ" else "que "
    lines, tail = [start.format(x=bare[0], a=name, e=e, que=que)], ""
    for n in range(1, len(nouns)):
        verb = rng.choice(verbs)
        whom = "al" + bare[n - 1][2:] if bare[n - 1].startswith("el ") else "a " + bare[n - 1]
        line = link.format(y=bare[n], v=verb, x=bare[n - 1], ax=whom)
        lines.append(line + tail + end.format(a=name, e=e, que=que))
        # what the next line repeats after its own animal
        tail = line[line.index(bare[n]) + len(bare[n]):] + tail
    return rng.choice((" ", "\n")).join(lines)


def week(rng, lang):
    """A plan of the week, and the same plan once more with one change."""
    days = cw.WEEKDAYS[lang].split()
    colon = " : " if lang == "fr" else ": "
    people = draw_names(rng, lang, 3)
    plan = [from_template(rng, lang, PLAN, [person, person]) for person in (rng.choice(people) for _ in days)]
    title = {"en": "Week {}", "fr": "Semaine {}", "es": "Semana {}"}[lang]
    parts = []
    for number in range(1, rng.randint(3, 5)):
        lines = [title.format(number)] + [f"{capitalise(day)}{colon}{what}" for day, what in zip(days, plan)]
        parts.append("\n".join(lines))
        change = rng.randrange(len(days))
        plan[change] = from_template(rng, lang, PLAN, [rng.choice(people)] * 2)
    return "\n\n".join(parts)


PLAN = triples("""
{in P} with {A} | {in P} avec {A} | {in P} con {A}
buy {n} {pl F} | acheter {n} {pl F} | comprar {n} {pl F}
look for {the O+} | chercher {le O+} | buscar {el O+}
write to {A} | écrire à {A} | escribir a {A}
repair {the O} of the neighbour | réparer {le O} de la voisine | arreglar {el O} de la vecina
go {to P} | aller {in P} | ir {al P}
read and sleep | lire et dormir | leer y dormir
""")

KINDS = (song, talk, letters, retelling, invented, records, recipe, chain, week)


def recurring(rng):
    """One document of any of these kinds in any language."""
    lang = rng.choice(LANGS)
    return rng.choice(KINDS)(rng, lang)


GLUE = (" ", " ", "\n", "\n\n", ". ", " | ", "\n---\n")


def twice(rng, text):
    """A passage of `text` two or three times, cut at a space."""
    words = text.split(" ")
    length = min(len(words), rng.randint(6, 90))
    start = rng.randrange(len(words) - length + 1) if rng.random() < 0.5 else 0
    return rng.choice(GLUE).join([" ".join(words[start:start + length])] * rng.choice((2, 2, 2, 3)))
