//! Reading an edit from its text.

use super::{Change, Edit, Part, Patched, Picks, Scope, Source, Span};
use crate::trace::{HookKind, nearest};
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::str::FromStr;

/// The first words of edits, and all forms of each.
const FORMS: [(&str, &[&str]); 11] = [
    ("ban", &["ban L3.E5"]),
    ("zero", &["zero L3.E5", "zero L5.H2", "zero L4.attn", "zero L4.mlp"]),
    ("scale", &["scale L3.E5 0.5", "scale L5.H2 0.5", "scale L4.attn 0.5", "scale L4.mlp 0.5"]),
    ("force", &["force L3.E1,E4"]),
    ("bias", &["bias L3.E5 +1.0"]),
    ("topk", &["topk L3 1"]),
    ("mean", &["mean L3.E5", "mean L5.H2", "mean L4.attn", "mean L4.mlp"]),
    ("cut", &["cut L5.H2 12->3", "cut L5.H2 *->0"]),
    ("add", &["add L10.resid_post FILE 4.0", "add L10.resid_post FILE:NAME 4.0"]),
    ("patch", &["patch L4.resid_pre@7 FILE@3", "patch L4.H2 FILE", "patch L4.E2 FILE"]),
    ("replay", &["replay L* FILE", "replay! L* FILE"]),
];

/// `a`, `b` or `c`
fn listed(forms: &[&str]) -> String {
    let quoted: Vec<String> = forms.iter().map(|form| format!("`{form}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

impl FromStr for Edit {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).map_err(|error| match FORMS.iter().find(|(verb, _)| first_word(text) == *verb) {
            Some((_, forms)) => anyhow!("`{}`: {error:#}; it is written like {}", text.trim(), listed(forms)),
            None => error,
        })
    }
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default().trim_end_matches('!')
}

fn parse(text: &str) -> Result<Edit> {
    let words = with_scope_first(words(text)?)?;
    let mut words = words.into_iter().peekable();
    let verb = words.next().map(|word| word.plain()).transpose()?.unwrap_or_default();
    if !FORMS.iter().any(|(known, _)| verb.trim_end_matches('!') == *known) || verb.ends_with('!') && verb != "replay!"
    {
        let verbs: Vec<&str> = FORMS.iter().map(|(verb, _)| *verb).collect();
        let near = nearest(verb.trim_end_matches('!'), verbs.iter().copied());
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        bail!("`{}`: an edit begins with one of {}{near}", text.trim(), verbs.join(", "));
    }
    let target = words.next().context("its layer is missing")?.plain()?;
    let (target, mut scope) = match target.split_once('@') {
        Some((target, scope)) => (target.to_owned(), parse_scope(scope)?),
        None => (target, Scope::Everywhere),
    };
    // Of edits that name a file, the scope may be a word before it.
    if scope == Scope::Everywhere
        && let Some(word) = words.next_if(|word| word.text.starts_with('@') && !word.is_quoted)
    {
        scope = parse_scope(&word.text[1..])?;
    }
    // `L3..5` has points of its own.
    let (layers, part) = match target.match_indices('.').find(|(at, _)| is_single_point(&target, *at)) {
        Some((at, _)) => (&target[..at], Some(&target[at + 1..])),
        None => (target.as_str(), None),
    };
    let layers = picks(layers, 'L')?.with_context(|| format!("`{layers}` names no layer, such as L3, L3..5 or L*"))?;
    let named = || part.context("it names no part of the layer, such as E5 or H2");
    let alone = || part.map_or(Ok(()), |part| bail!("it takes a layer alone, without `{part}`"));
    let next_is_from = |words: &mut std::iter::Peekable<std::vec::IntoIter<Word>>| {
        words.next_if(|word| word.text == "from" && !word.is_quoted);
    };
    let change = match verb.as_str() {
        "ban" => Change::Ban(experts(named()?)?),
        "force" => Change::Force(experts(named()?)?),
        "bias" => Change::Bias(experts(named()?)?, number(words.next(), "the bias")?),
        "topk" => {
            alone()?;
            let count = words.next().context("the number of experts is missing")?.plain()?;
            Change::TopK(count.parse().ok().with_context(|| format!("`{count}` is not a number of experts"))?)
        }
        "zero" => Change::Zero(parse_part(named()?)?),
        "mean" => Change::Mean(parse_part(named()?)?),
        "scale" => Change::Scale(parse_part(named()?)?, number(words.next(), "the factor")?),
        "cut" => {
            let heads = heads(named()?)?;
            let arrow = words.next().context("what it cuts is missing, such as 12->3")?.plain()?;
            let (query, key) = arrow.split_once("->").with_context(|| format!("`{arrow}` has no `->`"))?;
            let (query, key) = (span(query)?, span(key)?);
            if let (Span::These(_, query), Span::These(key, _)) = (&query, &key) {
                ensure!(key <= query, "a query never sees a key after it: {key} is after {query}");
            }
            Change::Cut { heads, query, key }
        }
        "add" => {
            let hook = hook(named()?)?;
            let (source, from) = words.next().context("the file is missing")?.source()?;
            ensure!(from.is_none(), "a vector has no positions: leave out the `@` after the file");
            let factor = words.next().map_or(Ok(1.0), |word| number(Some(word), "the factor"))?;
            Change::Add { hook, source, factor }
        }
        "patch" => {
            let part = named()?;
            let what = match part.as_bytes().first() {
                Some(b'H' | b'h') if picks(part, 'H')?.is_some() => Patched::Heads(heads(part)?),
                Some(b'E' | b'e') if picks(part, 'E')?.is_some() => Patched::Experts(experts(part)?),
                _ => Patched::Hook(hook(part)?),
            };
            next_is_from(&mut words);
            let (source, from) = words.next().context("the file is missing")?.source()?;
            let from = from.map(|from| from.parse().ok().with_context(|| format!("`@{from}` is not a position")));
            Change::Patch { what, source, from: from.transpose()? }
        }
        _ => {
            alone()?;
            next_is_from(&mut words);
            let (source, from) = words.next().context("the file is missing")?.source()?;
            ensure!(from.is_none(), "`replay` takes the positions of this run: leave out the `@` after the file");
            Change::Replay { source, weights: verb.ends_with('!') }
        }
    };
    if let Some(word) = words.next() {
        bail!("`{}` is too much", word.text);
    }
    Ok(Edit { layers, change, scope })
}

/// The scope may follow the last word, or be a word of its own: it is moved behind the target.
fn with_scope_first(mut words: Vec<Word>) -> Result<Vec<Word>> {
    let names_file =
        words.first().is_some_and(|verb| ["add", "patch", "replay", "replay!"].contains(&verb.text.as_str()));
    if names_file || words.len() < 2 {
        return Ok(words);
    }
    let is_scope = |word: &Word| word.text.contains('@') && !word.is_quoted;
    if words.iter().filter(|word| is_scope(word)).count() > 1 {
        bail!("it has two scopes");
    }
    if let Some(at) = words.iter().position(is_scope).filter(|at| *at > 1) {
        let word = words.remove(at);
        let (value, scope) = word.text.split_once('@').unwrap_or_default();
        words[1].text = format!("{}@{scope}", words[1].text);
        if !value.is_empty() {
            words.insert(at, Word { text: value.to_owned(), tail: String::new(), is_quoted: false });
        }
    }
    Ok(words)
}

fn is_single_point(text: &str, at: usize) -> bool {
    let is_point = |at: Option<usize>| at.and_then(|at| text.as_bytes().get(at)) == Some(&b'.');
    !is_point(at.checked_sub(1)) && !is_point(Some(at + 1))
}

/// A word of a line.
struct Word {
    text: String,
    /// What follows the closing quote.
    tail: String,
    is_quoted: bool,
}

impl Word {
    fn plain(self) -> Result<String> {
        ensure!(!self.is_quoted, "\"{}\" is quoted, but it is no file", self.text);
        Ok(self.text)
    }

    /// A file with the name of a tensor after `:`, and the text after `@`.
    fn source(self) -> Result<(Source, Option<String>)> {
        let (path, rest) = if self.is_quoted {
            (self.text, self.tail)
        } else {
            let cut = self.text.rfind('@').unwrap_or(self.text.len());
            let name = self.text[..cut].rfind(':').filter(|at| is_name(&self.text[at + 1..cut], *at));
            let cut = name.unwrap_or(cut);
            (self.text[..cut].to_owned(), self.text[cut..].to_owned())
        };
        ensure!(!path.is_empty(), "the file is missing");
        let (tensor, from) = match rest.split_once('@') {
            Some((tensor, from)) => (tensor.to_owned(), Some(from.to_owned())),
            None => (rest, None),
        };
        let tensor = match tensor.strip_prefix(':') {
            Some(name) if !name.is_empty() => Some(name.to_owned()),
            _ if tensor.is_empty() => None,
            _ => bail!("`{tensor}` after the file is neither `:NAME` nor `@POSITION`"),
        };
        Ok((Source { path, tensor }, from))
    }
}

/// Whether the text after a colon at `at` names a tensor and not the rest of a path (`C:\v.safetensors`).
fn is_name(text: &str, at: usize) -> bool {
    !text.is_empty() && !text.contains(['/', '\\']) && at > 0
}

/// The words of a line, without its comment. A word in quotes may hold spaces; `\"` and `\\` stand for themselves.
fn words(line: &str) -> Result<Vec<Word>> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next().filter(|first| *first != '#') {
        let mut word = Word { text: String::new(), tail: String::new(), is_quoted: first == '"' };
        if word.is_quoted {
            let mut chars = rest[1..].chars();
            loop {
                match chars.next().context("a quote is not closed")? {
                    '"' => break,
                    '\\' => word.text.push(chars.next().context("a quote is not closed")?),
                    other => word.text.push(other),
                }
            }
            rest = chars.as_str();
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let plain = rest[..end].to_owned();
        *(if word.is_quoted { &mut word.tail } else { &mut word.text }) = plain;
        words.push(word);
        rest = rest[end..].trim_start();
    }
    Ok(words)
}

/// `3`, `3..5`, `*` after the letter, and lists of these. `None` if it is anything else.
///
/// # Errors
/// If a range goes down or names more than there can be.
fn picks(text: &str, letter: char) -> Result<Option<Picks>> {
    let mut all = Vec::new();
    for item in text.split(',') {
        let Some(numbers) = item.strip_prefix([letter, letter.to_ascii_lowercase()]) else { return Ok(None) };
        if numbers == "*" {
            return Ok(Some(Picks::All));
        }
        let Some((first, last)) = ends(&letter.to_string(), numbers)? else { return Ok(None) };
        ensure!(last - first < MOST, "`{item}` names more than {MOST}, and no model has as many");
        all.extend(first..=last);
    }
    Ok(Some(Picks::these(all)))
}

/// More layers, experts or heads than any model has.
const MOST: usize = 65_536;

/// `3` or `3..5`, which `mark` precedes. `None` if it is anything else.
///
/// # Errors
/// If the first end is after the last.
fn ends(mark: &str, text: &str) -> Result<Option<(usize, usize)>> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let Some((first, last)) = index(first).zip(index(last)) else { return Ok(None) };
    ensure!(
        first <= last,
        "`{mark}{first}..{last}` begins with {first}, which is after {last}: write `{mark}{last}..{first}`"
    );
    Ok(Some((first, last)))
}

/// Digits only: `+3` is none.
fn index(text: &str) -> Option<usize> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn experts(text: &str) -> Result<Picks> {
    ensure!(text != "shared", "the shared expert is not chosen: it can be zeroed, scaled or set to its mean");
    picks(text, 'E')?.with_context(|| format!("`{text}` names no expert, such as E5, E1,E4 or E2..4"))
}

fn heads(text: &str) -> Result<Picks> {
    picks(text, 'H')?.with_context(|| format!("`{text}` names no head, such as H2, H1,H4 or H2..4"))
}

fn parse_part(text: &str) -> Result<Part> {
    Ok(match text {
        "attn" => Part::Attn,
        "mlp" => Part::Mlp,
        "shared" => Part::Shared,
        _ => match (picks(text, 'E')?, picks(text, 'H')?) {
            (Some(experts), _) => Part::Experts(experts),
            (_, Some(heads)) => Part::Heads(heads),
            _ => bail!("`{text}` is none of E5, H2, attn, mlp, shared"),
        },
    })
}

fn hook(text: &str) -> Result<HookKind> {
    let found = HookKind::all()
        .filter(|kind| !kind.is_global())
        .find(|kind| [kind.short_name(), kind.suffix()].contains(&text));
    let found = found.with_context(|| {
        let names: Vec<&str> = HookKind::all().filter(|kind| kind.can_be_patched()).map(HookKind::short_name).collect();
        format!("`{text}` is no hook of a layer; hooks are {}", names.join(", "))
    })?;
    if found == HookKind::ExpertIndices {
        bail!("`{text}` holds a choice of experts: use `force` or `replay`");
    }
    ensure!(found.can_be_patched(), "`{text}` has no row of its own for each position");
    Ok(found)
}

fn parse_scope(text: &str) -> Result<Scope> {
    Ok(match text {
        "last" => Scope::Last,
        "prompt" => Scope::Prompt,
        "generated" => Scope::Generated,
        _ => match (ends("@", text)?, text.strip_suffix("..").and_then(index)) {
            (Some((first, last)), _) => Scope::Positions(first, last),
            (_, Some(first)) => Scope::From(first),
            _ => bail!("`@{text}` is none of @7, @7..12, @7.., @last, @prompt, @generated"),
        },
    })
}

fn span(text: &str) -> Result<Span> {
    match (text, ends("", text)?) {
        ("*", _) => Ok(Span::All),
        (_, Some((first, last))) => Ok(Span::These(first, last)),
        _ => bail!("`{text}` is no position, such as 3, 3..5 or *"),
    }
}

fn number(word: Option<Word>, what: &str) -> Result<f32> {
    let text = word.with_context(|| format!("{what} is missing"))?.plain()?;
    let number: Option<f32> = text.parse().ok().filter(|number: &f32| number.is_finite());
    number.with_context(|| format!("`{text}` is not a number"))
}
