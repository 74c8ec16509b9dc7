"""Records what transformers makes of chat templates: tests/fixtures/chat/*.json.

    pip install transformers==5.24.0 jinja2==3.1.6
    python tools/record_chat.py

`snippets.json` has small templates, each about one property of Jinja or Python. `rendered.json` has the templates of
`tests/fixtures/chat/templates`, written after public models, with conversations put before them by `{% set %}`.
An entry without `rendered` is a template that transformers refuses.
"""

import datetime
import json
import pathlib

import transformers.utils.chat_template_utils as utils

FOLDER = pathlib.Path(__file__).parent.parent / "tests" / "fixtures" / "chat"
MESSAGE = "<b>\"x\" & y</b> é\n  'q' 100% {{ no }} "
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "image_token": "<img>"}
NOW = datetime.datetime(2024, 7, 5, 9, 3, 7, 42)


class Clock(datetime.datetime):
    """The moment that every template sees."""

    @classmethod
    def now(cls, tz=None):
        return NOW


utils.datetime = Clock


def render(template, message=MESSAGE, tokens=TOKENS):
    """As `apply_chat_template` of a conversation with one message of the user."""
    chat = [[{"role": "user", "content": message}]]
    return utils.render_jinja_template(chat, chat_template=template, add_generation_prompt=True, **tokens)[0][0]


def entry(template, **kwargs):
    try:
        return {"template": template, "rendered": render(template, **kwargs)}
    except Exception as error:
        return {"template": template, "error": f"{type(error).__name__}: {error}"[:120]}


def set_of(name, value):
    return "{%- set " + name + " = " + json.dumps(value) + " -%}\n"


STRINGS = ["''", "'abc'", "'  a b  c '", "\"it's 3rd-party o'neill_x éß ŉ\"", "'HELLO wORLD'", "'xxabcxx'", "'a,b,,c'", "'l1\\nl2\\r\\nl3\\n'", "'ǆ ﬁ'", "'1²½٣'"]
METHODS = [
    "title()", "capitalize()", "upper()", "lower()", "swapcase()", "casefold()", "strip()", "lstrip()", "rstrip()",
    "strip('x ')", "lstrip('x')", "rstrip('cx')", "strip(None)", "split()", "split(',')", "split(',', 1)", "split(maxsplit=1)", "split(None, 1)",
    "split(sep=',')", "rsplit(',', 1)", "rsplit()", "rsplit(None, 1)", "splitlines()", "splitlines(true)", "splitlines(keepends=true)", "partition(',')", "rpartition(',')",
    "startswith('a')", "startswith(('x', 'a'))", "startswith('b', 1)", "startswith('b', 1, 3)", "endswith('c')", "endswith(('c', ' '))", "endswith('x', 0, -1)",
    "find('b')", "find('b', 2)", "find('', 1, 2)", "rfind('x')", "rfind('x', 0, 2)", "index('a') if 'a' in s else none", "count('x')", "count('')", "count('c', 1)",
    "replace('x', '-')", "replace('x', '-', 1)", "replace('', '.')", "replace('', '.', 2)", "replace('x', '', -1)", "zfill(6)", "center(9)", "center(10, '*')", "ljust(7, '.')",
    "rjust(7, '.')", "expandtabs()", "isalpha()", "isdigit()", "isdecimal()", "isnumeric()", "isalnum()", "isspace()", "isupper()", "islower()",
    "istitle()", "isascii()", "isidentifier()", "isprintable()", "removeprefix('xx')", "removesuffix('xx')", "join(['1', '2', '3'])", "join('abc')",
]
PERCENT = [
    "'%s' % x", "'%s|%s' % ('a', 1)", "'%d' % 3.9", "'%5.2f|' % 3.14159", "'%-8s|' % 'ab'", "'%08.3f' % -3.14159", "'%+d % d' % (4, 5)",
    "'%r' % \"it's\"", "'%r' % 'a\\n\\'\"é\\x00'", "'%a' % 'é'", "'%x %X %o %#x %#o' % (255, 255, 8, 255, 8)", "'%e %E %.3e' % (12345.678, 0.00012, 1)",
    "'%g %g %g %G %.3g' % (0.0001, 1e-05, 1234567.0, 1e20, 3.14159)", "'%c%c' % ('a', 98)", "'%5s%%' % 7", "'%%'", "'100%%' % ()", "'%(a)s-%(b)05d' % {'a': 'x', 'b': 42}",
    "'%*d' % (6, 42)", "'%.*f' % (2, 2.5)", "'%s' % none", "'%s' % true", "'%s' % [1, 'a', 2.0, none, true]", "'%s' % {'k': 'v', 1: 2.5}", "'%s' % ((1,),)",
    "'%s' % (('a', 'b'),)", "'%.2s' % 'abc'", "'%i %u' % (1, 2)", "'%s' % 1.0", "'%s' % 1e16", "'%s' % 1e-7", "'%s' % 0.1", "'%s' % 123456789012345678", "'%d' % true", "'%s' % missing",
    "'%s' % ('a', 'b')", "'%d' % 'x'", "'%s %s' % 'a'", "'abc' % 1", "7 % 3", "-7 % 3", "7 % -3", "7.5 % 2", "5 * '%s' % 1", "'%s' % 5 * 2", "'%s' % 'a' ~ 'b'", "'%s' % 'a' + 'b'",
    "'%s' % x | upper", "'%s' % -3", "('%s' % x) | length", "'%s %s' % (1, 2) == '1 2'", "1 + 7 % 4 * 2", "'%s' % messages[0]['role'].upper()", "'%s' % ('%s' % 3)", "2 ** 3 % 5", "-2 ** 2 % 5",
    "'%s' % (x if true else 'n')", "['%s' % 1, '%d' % 2]", "{'a': '%s' % 1}", "'%(x)s' % {'x': '%s' % 'in'}", "'%s' % x[0]", "'a%sb' % x.y.z", "'%s' % 'a' in 'xay'", "not '%s' % ''", "'%-5d|%5d|%05d' % (42, 42, -42)",
    "'%s' % range(3)", "'%s' % 'a' if true else 'b'", "'%-10.3s|' % 'abcdef'", "'%+.1e' % 0", "'%s' % (1,)", "'%r' % (1.5,)", "'%.0f %.0f %.1f' % (0.5, 1.5, 0.25)", "'%#.3g' % 1", "'%5c|' % 'x'", "'%s' % [[], {}, ()]", "'%d' % 1e3", "'%x' % -255", "'%s' % ['é', '\\t', '\\u200b', '\\\\']",
]
JSON = [
    "messages | tojson", "messages[0] | tojson(indent=2)", "messages | tojson(ensure_ascii=True)", "messages | tojson(true)", "messages | tojson(separators=(',', ':'))",
    "{'b': 1, 'a': [1, 2.0, none, true, 'é<>&\\'']} | tojson", "{'b': 1, 'a': {'d': 1, 'c': 2}} | tojson(sort_keys=true)", "{'b': 1, 'a': []} | tojson(indent=4)",
    "{'a': {}, 'b': [[]]} | tojson(indent=1)", "[1, [2, {'x': 3}]] | tojson(indent='--')", "[1, 2] | tojson(indent=0)", "1e16 | tojson", "1e-7 | tojson", "0.1 | tojson", "100.0 | tojson", "1e22 | tojson", "123456789.125 | tojson", "12345678901234567890 | tojson", "-0.0 | tojson",
    "'\\x7f\\x01\\t\\n\\r\\x08\\x0c\\\"\\\\/' | tojson", "'\\u2028😀' | tojson", "'😀é' | tojson(ensure_ascii=True)", "{1: 'a', true: 'b', none: 'c', 2.5: 'd'} | tojson", "(1, 2) | tojson", "missing | tojson", "tools | tojson", "range(3) | tojson", "'x' | tojson | length",
    "[{'a': 1}] | tojson(indent=2, separators=(',', ': '))", "{'a': 1} | tojson(indent=none)", "[] | tojson(indent=2)", "{} | tojson(indent=2)", "'<b>' | tojson", "true | tojson", "{'z': 'x', 'y': 1} | tojson(ensure_ascii=False, indent=2, sort_keys=True)", "1 | tojson", "(1.5, none) | tojson(indent=2)", "[1, 2, 3] | map('tojson') | list", "dict(a=1, b=2) | tojson", "namespace(a=1) | tojson", "{'a': 1}.items() | list | tojson", "1.0e5 | tojson", "5e-324 | tojson", "1.7976931348623157e308 | tojson", "['a'] | tojson | upper", "{'b': 1} | tojson(4)", "{'a':1,'b':2} | tojson(separators=[';', '='])",
]
STRFTIME = [
    "%Y-%m-%d", "%d %b %Y", "%B %d, %Y", "%A %a %w %u", "%H:%M:%S.%f", "%I:%M %p", "%j %U %W %V %G", "%y %C", "%c", "%x %X", "%D %F %T %R %r", "%h %n%t|", "%%", "%e|%k|%l", "%-d %-m %-H %-I %-j %-M %-S %-y",
    "%_d %_m %0e", "%^a %^B %#p %#a", "%P", "%z|%Z", "%s" if False else "", "no codes é", "%5d|%3Y", "%E", "%Ey %Od", "%g", "%q", "%", "%G-W%V-%u", "%+", "%L", "%i", "%-", "%10A|", "%_5d|", "%^10b|", "%:z",
]
PLAIN = [
    # Special tokens, and what is passed.
    "{{ bos_token }}|{{ eos_token }}|{{ unk_token }}|{{ pad_token }}|{{ sep_token }}|{{ cls_token }}|{{ mask_token }}|{{ image_token }}",
    "{{ bos_token is defined }} {{ sep_token is defined }} {{ tools is defined }} {{ tools is none }} {{ documents is none }} {{ add_generation_prompt }} {{ date_string is defined }} {{ enable_thinking is defined }} {{ additional_special_tokens is defined }}",
    "{{ tools }} {{ documents }} {{ missing }}|{{ none }} {{ true }} {{ false }} {{ True }} {{ None }} {{ 1.0 }} {{ 1e16 }} {{ 1e-7 }} {{ 0.1 + 0.2 }} {{ 10 / 4 }} {{ 10 // 4 }} {{ 4 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ -7 // 2 }}",
    "{{ messages }}", "{{ messages[0] }}", "{{ messages[0].items() | list }}", "{{ messages[0].keys() | list }} {{ messages[0].values() | list | length }}",
    "{{ ['a', \"it's\", 1, 2.5, none, true, ('t',), {'k': 'v'}] }}", "{{ ('a', 'b') }} {{ () }} {{ (1,) }}", "{{ {'a': 1, 'b': [1]} }}", "{{ [1e16, 1e-7] }}", "{{ 'a' ~ 1 ~ none ~ true ~ 1e16 ~ [1] }}", "{{ range(3) }} {{ range(3) | list }}",
    "{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}",
    "{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in [1, 2, 3] %}{{ loop.previtem }},{{ loop.nextitem }};{{ loop.cycle('a', 'b') }}{{ loop.changed(i // 2) }}{% endfor %}",
    "{% for i in [] %}x{% else %}empty{% endfor %}", "{% for i in range(6) if i % 2 %}{{ i }}{{ loop.last }}{% endfor %}", "{% for a, b in [(1, 2), (3, 4)] %}{{ a + b }}{% endfor %}", "{% for k, v in {'x': 1, 'y': 2}.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k in {'x': 1, 'y': 2} %}{{ k }}{% endfor %}", "{% for k, v in {'b': 1, 'a': 2} | items %}{{ k }}{{ v }}{% endfor %}", "{% for k, v in {'b': 1, 'a': 2} | dictsort %}{{ k }}{{ v }}{% endfor %}",
    "{% set ns = namespace(n=0, s='') %}{% for i in range(4) %}{% set ns.n = ns.n + i %}{% set ns.s = ns.s ~ i %}{% endfor %}{{ ns.n }} {{ ns.s }}", "{% set x = 1 %}{% for i in [1] %}{% set x = 2 %}{% endfor %}{{ x }}", "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set x %}block {{ 1 }}{% endset %}[{{ x }}]", "{% set x | upper %}block{% endset %}{{ x }}", "{% filter upper %}abc{{ 'd' }}{% endfilter %}", "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a }}",
    "{% macro m(a, b='x', c=none) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 2) }} {{ m(1, c=3) }}", "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, k=3) }}", "{% macro m(x) %}[{{ caller() }}{{ x }}]{% endmacro %}{% call m(1) %}in{% endcall %}",
    "{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b) m() %}{{ a }}{{ b }}{% endcall %}", "{% macro r(n) %}{{ n }}{% if n > 0 %}{{ r(n - 1) }}{% endif %}{% endmacro %}{{ r(3) }}", "{{ m is defined }}{% macro m() %}{% endmacro %}{{ m is defined }}{{ m.name }}", "{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}",
    "{% for n in [1, [2, [3]]] recursive %}{% if n is iterable %}({{ loop(n) }}){% else %}{{ n }}{{ loop.depth }}{% endif %}{% endfor %}",
    "a{% generation %}x{{ 1 }}{% endgeneration %}b", "a\n{% generation %}\nx\n{% endgeneration %}\nb", "a {%- generation -%} x {%- endgeneration -%} b", "{% for m in messages %}{% generation %}{{ loop.index }}{{ m.role }}{% endgeneration %}{% endfor %}", "{% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}{% endgeneration %}{{ x }}",
    "{% generation %}a", "{{ raise_exception('refused: é') }}", "{{ raise_exception('a' ~ 1) }}",
    # Whitespace.
    "a\n  {% if true %}\n  b\n  {% endif %}\nc\n", "a\n  {%- if true -%}\n  b\n  {%- endif %}\nc\n\n", "  {% set x = 1 %}  y", "  {{ 1 }}\n  {# c #}\n  z", "{# a #}\nb", "a {#- c -#} b", "x\n{%+ if true %}\ny{% endif +%}\nz", "{{ 'a' -}}  \n b", "{% raw %}{{ x }}{% if %}{% endraw %}!", "{%- raw -%}  {{ x }} {%- endraw -%} !", "a\r\nb\rc", "{{ 'a\r\nb' }}",
    "\n\na\n", "{% if true %}a{% endif %}\n", "{% if true -%}\n\n a{% endif %}", "a\t{% if true %}\tb{% endif %}", "{{- 1 -}} \n", "<|{{ 'x' }}|>{{ '{%' }}{{ '%}' }}{{ '}}' }}", "{{ \"{{ x }}\" }}{{ '{# #}' }}", "{{ '%}' % () if false else 'ok' }}", "{{ 7 %2 }}{{7%2}}{{ 7% 2}}", "{{ {'a': 7}['a']%2 }}", "{{ {'a': {'b': 1}} }}", "{% set x = {'a': {'b': {}}} %}{{ x.a.b }}", "{% if 7%2 %}odd{% endif %}", "{%if true%}a{%endif%}", "{%-if true-%} a {%-endif-%}", "{% if true\n%}a{% endif\n%}",
    # Strings and escapes.
    "{{ 'a\\tb\\x41\\u00e9\\101\\'\\\"\\\\' }}", "{{ 'a' 'b' }}", "{{ '\\d\\/' }}", "{{ '\\a\\v\\0' | length }}", "{{ '\\U0001F600' }}", "{{ '\\N{BULLET}' }}", "{{ 'line\\\ncontinued' }}", "{{ 'real\nnewline' }}",
    "{{ 'abc'[0] }}{{ 'abc'[-1] }}{{ 'abc'[1:] }}{{ 'abc'[::-1] }}{{ 'abcdef'[1:-1:2] }}{{ 'abc'[5:] }}{{ 'é€😀'[1] }}|{{ 'abc'[9] }}", "{{ messages[1:] }}{{ messages[::-1] | length }}{{ [1, 2, 3][-2:] }}{{ (1, 2, 3)[1:] }}{{ [1, 2, 3][:-1] }}", "{{ [1, 2][5] }}|{{ {'a': 1}['b'] }}|{{ {'a': 1}.b }}|{{ messages[0].nope }}",
    "{{ missing.x }}", "{{ missing['x'] }}", "{{ none.x }}", "{{ messages[0].nope.deeper }}", "{{ missing + 1 }}", "{{ missing ~ 1 }}", "{{ missing == none }} {{ missing is none }} {{ not missing }} {{ missing | length }} {{ missing | list }} {{ missing or 'd' }}", "{% for x in missing %}{{ x }}{% endfor %}e", "{% for x in none %}{% endfor %}", "{{ 'x' in missing }}", "{{ missing() }}", "{{ missing | default('d') }} {{ none | default('d') }} {{ '' | default('d', true) }} {{ none | default('d', boolean=true) }}", "{{ missing > 1 }}",
    "{{ 'a' in 'abc' }} {{ 'a' not in 'abc' }} {{ 1 in [1] }} {{ 'k' in {'k': 1} }} {{ '' in 'a' }} {{ 1 not in (2,) }}", "{{ 'role' in messages[0] }} {{ messages[0].content is string }} {{ messages is iterable }} {{ messages is sequence }} {{ messages[0] is mapping }} {{ 1 is number }} {{ 'x' is iterable }} {{ 'x' is sequence }} {{ {} is sequence }} {{ {} is iterable }}",
    "{{ 1 is odd }} {{ 2 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(3) }} {{ 1 is eq 1 }} {{ 1 is sameas 1 }} {{ none is none }} {{ true is true }} {{ 1 is true }} {{ false is false }} {{ 1 is boolean }} {{ true is boolean }} {{ 1.5 is float }} {{ 1 is integer }} {{ true is integer }} {{ true is number }} {{ 'a' is lower }} {{ 'A' is upper }} {{ 1 is in [1] }} {{ range is callable }} {{ 3 is gt 2 }} {{ 'upper' is filter }} {{ 'odd' is test }}",
    "{{ 1 == 1.0 }} {{ 1 == true }} {{ '1' == 1 }} {{ [1] == [1] }} {{ (1,) == [1] }} {{ {'a': 1} == {'a': 1} }} {{ none == false }} {{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 1 != 2 }}", "{{ 1 < 'a' }}", "{{ 'a' + 1 }}", "{{ [1] + [2] }} {{ 'a' * 3 }} {{ [1] * 2 }} {{ (1,) + (2,) }} {{ true + 1 }} {{ 3 - true }}", "{{ 'a' - 'b' }}", "{{ [1] + ['a'] }} {{ ([1] + [{'b': 2.0}]) | tojson }} {{ '%s' % ([1] + [2],) }} {{ ([1] + [2]) | length }} {{ ([1] + [2]).index(2) }} {{ ('a' ~ ([1] + [2])) }}", "{{ 1 / 0 }}", "{{ none + 'a' }}", "{{ not true and false or true }} {{ 1 and 2 }} {{ 0 or 'x' }} {{ [] or {} }} {{ 'a' and '' }}| {{ 1 if false }}|{{ 1 if 0 else 2 if 0 else 3 }}",
    # Filters.
    "{{ 'abc' | length }}{{ [1] | count }} {{ 'aBc dEf' | title }} {{ 'aBc' | capitalize }} {{ \"it's o'neill-x\" | title }} {{ 'ab' | upper | lower }}", "{{ ' a ' | trim }}|{{ 'xax' | trim('x') }}|{{ 'a' | center(5) }}|", "{{ [3, 1, 2] | sort }} {{ ['b', 'A', 'c'] | sort }} {{ ['b', 'A'] | sort(case_sensitive=true) }} {{ [1, 2] | sort(reverse=true) }} {{ [{'a': 2}, {'a': 1}] | sort(attribute='a') }}", "{{ [1, 1, 2] | unique | list }} {{ ['a', 'A'] | unique | list }}", "{{ [1, 2, 3] | first }} {{ [1, 2] | last }} {{ [] | first }}| {{ [1, 2] | sum }} {{ [{'a': 1}] | sum(attribute='a') }} {{ [1, 5] | max }} {{ [1, 5] | min }}",
    "{{ [1, 2] | join }} {{ [1, 'a', none] | join(', ') }} {{ [{'a': 1}, {'a': 2}] | join('-', attribute='a') }} {{ [1e16, true] | join(' ') }}", "{{ 'a-b' | replace('-', '+') }} {{ 'aaa' | replace('a', 'b', 2) }}", "{{ [{'r': 'u'}, {'r': 's'}] | selectattr('r', 'equalto', 'u') | list }} {{ [{'r': 'u'}, {}] | selectattr('r') | list | length }} {{ [{'r': 'u'}, {'r': 's'}] | rejectattr('r', 'eq', 'u') | list }} {{ [{'a': {'b': 1}}] | selectattr('a.b', '==', 1) | list | length }}", "{{ [{'a': 1}, {}] | selectattr('a', 'defined') | list | length }} {{ messages | selectattr('role', 'equalto', 'system') | list }} {{ messages | selectattr('role', 'in', ['user']) | list | length }}",
    "{{ [{'a': 1}, {'a': 2}] | map(attribute='a') | list }} {{ ['a'] | map('upper') | list }} {{ [{}] | map(attribute='x', default='d') | list }} {{ ['a-b'] | map('replace', '-', '') | join }}", "{{ [1, 2, 3, 4] | select('even') | list }} {{ [0, 1] | select | list }} {{ [1, 2] | reject('odd') | list }}", "{{ 'abc' | reverse }} {{ [1, 2] | reverse | list }} {{ [1, 2, 3] | batch(2) | list }} {{ [1, 2, 3] | slice(2) | list }} {{ [1, 2, 3] | batch(2, 0) | list }}", "{{ '3' | int }} {{ 'x' | int }} {{ 'x' | int(7) }} {{ 3.9 | int }} {{ '1.5' | float }} {{ 'ff' | int(base=16) }} {{ 3 | float }} {{ '3.7' | int }} {{ none | int }}", "{{ 2.5 | round }} {{ 2.567 | round(2) }} {{ 2.1 | round(method='ceil') }} {{ 3.5 | round }} {{ 7 | round }} {{ 2.567 | round(1, 'floor') }} {{ 25 | round(-1) }}", "{{ -3 | abs }} {{ 3 | string ~ 'a' }} {{ none | string }} {{ [1] | string | length }} {{ 'abc' | list }} {{ {'a': 1} | list }}",
    "{{ 'a\nb\n\nc' | indent }}|{{ 'a\nb' | indent(2, true) }}|{{ 'a\n\nb' | indent(2, blank=true) }}|{{ 'a\nb' | indent('> ') }}", "{{ 'a b c' | wordcount }} {{ 'hello world foo' | truncate(9) }} {{ 'hello world' | truncate(8, true, '..', 0) }} {{ 'aaa bbb ccc' | wordwrap(5) }}", "{{ '<a>' | e }} {{ '<a>' | escape }} {{ '<a>' | safe }} {{ '<b>x</b>' | striptags }} {{ 'a b/é' | urlencode }} {{ '<a>' | forceescape }}", "{{ [('a', 1), ('b', 2)] | groupby(0) | list | length }} {% for g, i in [{'k': 1, 'v': 2}, {'k': 1, 'v': 3}] | groupby('k') %}{{ g }}{{ i | length }}{% endfor %}", "{{ '%s-%s' | format(1, 'a') }} {{ '%(x)s' | format(x=3) }} {{ '%05.1f' | format(2.25) }}", "{{ 1234567 | filesizeformat }} {{ [1, [2]] | pprint }} {{ {'a': 1} | xmlattr }}", "{{ {'b': 2, 'a': 1} | dictsort(by='value') }} {{ {'b': 2, 'a': 1} | dictsort(reverse=true) }}", "{{ [[1, 2], [3]] | map('first') | list }} {{ [[1, 2], [3]] | sum(start=[]) }}", "{{ 'x' | nofilter }}", "{{ 1 is notest }}", "{{ {'a': {'b': 2}} | attr('a') }}|", "{{ 'a' | default }}{{ 'a' | d('b') }}",
    # Functions and methods.
    "{{ range(5) | list }} {{ range(1, 8, 3) | list }} {{ range(3, 0, -1) | list }} {{ range(3)[1] }} {{ 2 in range(3) }}", "{{ dict(a=1, b='x') }} {{ dict([('k', 1)]) }} {{ dict({'a': 1}, b=2) }}", "{{ dict.fromkeys(['a', 'b'], 1) }}", "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}", "{% set j = joiner(', ') %}{% for i in [1, 2] %}{{ j() }}{{ i }}{% endfor %}", "{{ namespace(a=1).a }} {{ namespace({'a': 1}, b=2).b }}", "{{ lipsum is defined }}", "{{ {'a': 1}.get('a') }} {{ {'a': 1}.get('b') }} {{ {'a': 1}.get('b', 'd') }} {{ {'a': 1}.copy() }}", "{{ {'items': 1, 'get': 2}['items'] }} {{ {'items': 1}.items() | list }}", "{{ {'a': 1}.keys() }} {{ {'a': 1}.values() }} {{ {'a': 1}.items() }}", "{{ [1, 2, 1].count(1) }} {{ [1, 2].index(2) }} {{ (1, 2).count(1) }} {{ (1, 2).index(2) }} {{ [1].copy() }}", "{{ [1].append(2) }}", "{% set x = {} %}{% set _ = x.update({'a': 1}) %}{{ x }}", "{{ {'a': 1}.pop('a') }}", "{{ 'a'.nope() }}", "{{ 'a{}b{}'.format(1, 'x') }} {{ '{0}{1}{0}'.format('a', 'b') }} {{ '{x}'.format(x=1) }} {{ '{:>5}|{:<5}|{:^5}|{:05d}|{:.2f}|{:,}'.format('a', 'b', 'c', 42, 3.14159, 1234567) }} {{ '{{}}'.format() }} {{ '{!r}'.format('a') }} {{ '{a[k]}'.format(a={'k': 1}) }}", "{{ '{:x} {:#x} {:b} {:e} {:g} {:%} {:+}'.format(255, 255, 5, 1234.5, 0.0001, 0.25, 3) }}", "{{ '{:*^9}|{:>{}}'.format('mid', 'r', 4) }}", "{{ (3).bit_length() }} {{ 2.0.is_integer() }}", "{{ 'abc'.__class__ }}", "{{ ''.join(['a', 1]) }}", "{{ 'a'.upper().lower().title() }}", "{{ 'x'.split('') }}", "{{ x.y is defined }}", "{{ self is defined }} {{ loop is defined }} {{ caller is defined }}",
    "{% include 'x' %}", "{% extends 'x' %}", "{% import 'x' as y %}", "{% block a %}in{% endblock %}", "{% do 1 %}", "{% autoescape true %}{{ '<' }}{% endautoescape %}", "{% trans %}a{% endtrans %}", "{% break %}", "{{ }}", "{{ 1 + }}", "{% if %}{% endif %}", "{% for %}", "{% endif %}", "{{ 'a }}", "{% if true %}", "{{ (1 }}", "{{ 1 ! 2 }}",
    "{{ 1_000 }} {{ 0x1f }} {{ 0b11 }} {{ 0o17 }} {{ 1.5e3 }} {{ 1E2 }}", "{{ -1 | abs }} {{ - 3 }} {{ +3 }} {{ not 0 }}", "{{ [1, 2,] }} {{ {'a': 1,} }} {{ (1, 2,) }}", "{{ 1, 2 }}", "{% for x in 1, 2 %}{{ x }}{% endfor %}", "{{ {1: 'a', 'b': 2}[1] }} {{ {true: 1}[true] }} {{ {(1, 2): 3}[(1, 2)] }} {{ {'a': 1, 'a': 2} }}", "{{ messages[-1]['content'][:4] }} {{ messages[0].role[0] | upper }}", "{{ messages[0]['content'].split('</b>')[-1].lstrip('\\n') }}", "{{ messages | length }} {{ messages | last | attr('role') }} {{ (messages | last).role }} {{ (messages | map(attribute='role') | join(',')) }}",
    "{{ strftime_now('%Y') | int + 1 }}", "{{ strftime_now }}"[:0], "{{ strftime_now(1) }}", "{{ strftime_now(format='%Y') }}", "{{ 1 if strftime_now is defined else 0 }}", "{{ 'é' | upper }}{{ 'ß' | upper }}{{ 'İ' | lower | length }}", "{% set x = messages | rejectattr('role', 'equalto', 'system') | list %}{{ x | length }}", "{{ messages | map(attribute='content') | select('string') | list | length }}", "{% if messages[0]['role'] == 'system' %}s{% elif messages[0]['role'] == 'user' %}u{% else %}o{% endif %}", "{%- for message in messages %}{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}bad{%- endif %}{%- endfor %}ok", "{{ ['a', 'b'] | join(' and ' ) ~ '!' }}", "{{ [1, 2, 3] | random is number }}", "{{ 'a,b' | split(',') }}"[:0], "{{ 0.1 + 0.2 }} {{ 1e3 }} {{ 3 * 1.0 }} {{ 7 / 2 }} {{ 7.0 // 2 }} {{ 1e100 }} {{ 123456789.0 * 1000 }} {{ -0.0 }}", "{{ 99999999999999999999 + 1 }}", "{{ [none, true, 1.0] | join(',') }} {{ [none] }} {{ {'n': none} }}", "{% set x = 'a' %}{% set x = x ~ 'b' %}{{ x }}", "{% set ns = namespace() %}{% set ns.a = 1 %}{{ ns.a }} {{ ns.b is defined }}", "{% set d = {'a': 1} %}{% set d.a = 2 %}{{ d }}", "{% set ns = namespace(_x=1) %}", "{{ '\\n'.join(['a', 'b']) }}", "{{ ['x', 'y'].__len__() }}", "{{ 'A' if messages[0].role == 'user' and not tools else 'B' }}", "{% set tools = tools or [] %}{{ tools }}", "{%- if tools is not none and tools %}t{% else %}n{% endif %}", "{{ messages[0].content | string | length }}", "{{ ('a' ~ 'b') | upper }}{{ 'a' ~ 'b' | upper }}", "{% if 'a' is in('abc') %}y{% endif %}", "{{ 'abc' is string and 'abc' is not mapping }}", "{{ 5 is not none }} {{ not 5 is none }}", "{% for m in messages[:1] %}{{ m['role'] }}{% endfor %}{% for c in 'ab' %}{{ c }},{% endfor %}", "{{ messages.0.role }}", "{{ messages[0]['role' ] ~ ': ' ~ (messages[0]['content'] | trim) }}", "{{ 'a'\n  ~ 'b' }}", "{# multi\nline {{ x }} #}z", "{{ true and 1 }} {{ 1 > 0 }} {{ (1 > 0) | string }} {{ true | int }} {{ true | string }}",
]
# A conversation with several turns.
CHAT = [
    {"role": "user", "content": "Hi there"},
    {"role": "assistant", "content": "Hello! <b>&</b>"},
    {"role": "user", "content": "  What is 2+2?\n"},
]
SYSTEM = [{"role": "system", "content": "You are terse."}, *CHAT]
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Get the \"weather\" <now> é",
          "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "The city"},
          "unit": {"type": "string", "enum": ["C", "F"]}, "days": {"type": "array", "items": {"type": "integer"}}}, "required": ["city"]}}}]
CALLS = [
    {"role": "user", "content": "Weather in Paris?"},
    {"role": "assistant", "content": "", "tool_calls": [{"id": "call12345", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Paris", "days": [1, 2]}}}]},
    {"role": "tool", "name": "get_weather", "tool_call_id": "call12345", "content": "{\"t\": 21.5}"},
]
THINK = [
    {"role": "user", "content": "Think."},
    {"role": "assistant", "content": "<think>\nhm\n</think>\n\nDone.", "reasoning_content": "hm"},
    {"role": "user", "content": "More."},
]
BEFORE = {
    "plain": "",
    "turns": set_of("messages", CHAT),
    "system": set_of("messages", SYSTEM),
    "tools": set_of("messages", [SYSTEM[0], *CALLS]) + set_of("tools", TOOLS),
    "thinking": set_of("messages", THINK),
    "no_prompt": set_of("messages", CHAT[:2]) + set_of("add_generation_prompt", False),
}


def snippets():
    found = [entry("{% set s = " + text + " %}{{ s." + method + " }}") for text in STRINGS for method in METHODS]
    found += [entry("{% set x = 'X' %}{{ " + text + " }}") for text in PERCENT + JSON]
    found += [entry("{{ strftime_now('" + text + "') }}") for text in STRFTIME]
    found += [entry(text) for text in PLAIN if text]
    return found


def clocks():
    """strftime on days at the ends of weeks, months and years."""
    global NOW
    days = [(1999, 12, 31), (2000, 1, 1), (2000, 2, 29), (2023, 1, 1), (2024, 12, 30), (2024, 12, 31), (2026, 11, 30), (2021, 1, 3)]
    found = []
    for day, hour in [(day, hour) for day in days for hour in (0, 12, 23)]:
        NOW = datetime.datetime(*day, hour, 59, 5, 123456)
        codes = [text for text in STRFTIME if text]
        found.append({"now": [*day, hour, 59, 5, 123456], "codes": codes, "texts": [NOW.strftime(code) for code in codes]})
    NOW = datetime.datetime(2024, 7, 5, 9, 3, 7, 42)
    return found


def write(name, value):
    lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in value)
    (FOLDER / name).write_text(f"[\n{lines}\n]\n", encoding="utf-8", newline="")


if __name__ == "__main__":
    write("snippets.json", snippets())
    write("clocks.json", clocks())
    rendered = []
    for path in sorted((FOLDER / "templates").glob("*.jinja")):
        text = path.read_bytes().decode()
        for name, before in BEFORE.items():
            one = entry(before + text)
            del one["template"]
            rendered.append({"file": path.name, "name": name, "before": before, **one})
    write("rendered.json", rendered)
