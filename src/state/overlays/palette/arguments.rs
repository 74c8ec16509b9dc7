//! Commands with arguments: `layer 5`, `L5H4`, `token 12`, `theme light`, `policy f32`, `dashboard`, `pairs`, `induction`.

use super::Command;
use crate::analysis::view::{FileFormat, FileOrder, Layout, ShownMeasure, Tab, View};
use crate::state::input::{Action, Address, Scope};
use crate::state::{Arrangement, LensMeasure, State, ThemeName, UsageMeasure};
use crate::trace::Policy;

/// Ranks of what is offered: an address is what it says, a whole name comes before the beginning of one.
const EXACT: i32 = 9;
const NAMED: i32 = 5;
const BEGUN: i32 = 2;

impl State {
    /// The commands that `query` spells out, with their ranks.
    pub(super) fn offered(&self, query: &str) -> Vec<(i32, Command)> {
        let query = query.to_lowercase();
        let mut found = Vec::new();
        if query.is_empty() {
            return found;
        }
        if let Some(address) = Address::parse(&query) {
            let token = address.token.and_then(|pos| self.shown.get(pos));
            let text = token.map_or(String::new(), |(text, _)| format!(" ‘{text}’"));
            found.push((EXACT, command(Action::GoTo(address), format!("go to {}{text}", address.in_words()), "")));
        }
        for (theme, name) in ThemeName::ALL {
            let rank = named(&query, &["theme"], &[name]);
            found.extend(rank.map(|rank| (rank, command(Action::ShowTheme(theme), format!("theme: {name}"), ""))));
        }
        for policy in Policy::all() {
            let rank = named(&query, &["policy", "precision"], &[policy.name()]);
            let text = format!("precision policy: {policy}");
            let key = self.key(Action::CyclePolicy);
            found.extend(rank.map(|rank| (rank, command(Action::RunUnder(policy), text, &key))));
        }
        for (arrangement, name) in Arrangement::ALL {
            let rank = named(&query, &["arrangement", "arrange", "layout"], &[name]);
            let text = format!("arrangement of the screen: {name}");
            found.extend(rank.map(|rank| (rank, command(Action::Arrange(arrangement), text, ""))));
        }
        found.extend(exported(&query));
        for layout in Tab::ALL.into_iter().flat_map(Layout::all) {
            let whole = layout.view.name();
            let rank = named(&query, &["view", "layout", "show"], &[layout.name(), whole]);
            let text = format!("show {}: {}", layout.view.tab().name(), layout.name());
            let key = self.key(Action::Show(layout.view.tab()));
            found.extend(rank.map(|rank| (rank, command(Action::ShowLayout(layout), text, &key))));
        }
        for measure in all_measures() {
            let rank = named(&query, &["measure", "score", "sort"], &[measure.name()]);
            let text = format!("measure {}: {}", of_what(measure), measure.name());
            found.extend(
                rank.map(|rank| (rank, command(Action::ShowMeasure(measure), text, &self.key(Action::NextMeasure)))),
            );
        }
        found
    }

    /// The key of an action of the views, in words.
    fn key(&self, action: Action) -> String {
        self.keymap.key_of(Scope::Explore, action).map_or(String::new(), |key| key.to_string())
    }
}

fn command(action: Action, text: String, keys: &str) -> Command {
    Command { action, text, keys: keys.to_owned(), places: Vec::new(), is_recent: false }
}

/// The files that `export …` requests; what is wrong with the words, if they cannot be read.
fn exported(query: &str) -> Option<(i32, Command)> {
    let row = match FileOrder::parse(query.strip_prefix("export ")?) {
        Ok(order) => {
            let view = order.view.map_or("this view", View::name);
            let formats: Vec<&str> = order.formats().into_iter().map(FileFormat::suffix).collect();
            (EXACT, command(Action::Export(order), format!("write {view} to a file: {}", formats.join(" and ")), ""))
        }
        // After all commands that fit the words. The palette stays open on it.
        Err(wrong) => (0, command(Action::Palette, format!("{wrong}; {}", FileOrder::USAGE), "")),
    };
    Some(row)
}

/// How well a query names something: by one of its names, perhaps after a word that says what is named.
fn named(query: &str, before: &[&str], names: &[&str]) -> Option<i32> {
    let after = before.iter().find_map(|word| query.strip_prefix(word)?.strip_prefix([' ', '=']));
    let name = after.unwrap_or(query).trim();
    if name.is_empty() || before.contains(&query) {
        // Every value of what is named.
        return (after.is_some() || before[0] == query).then_some(BEGUN);
    }
    if names.contains(&name) {
        return Some(if after.is_some() { EXACT } else { NAMED });
    }
    names.iter().any(|one| name.len() >= 3 && one.starts_with(name)).then_some(BEGUN)
}

/// The measures of all views.
fn all_measures() -> impl Iterator<Item = ShownMeasure> {
    let usage = [UsageMeasure::First, UsageMeasure::Chosen, UsageMeasure::Weight, UsageMeasure::Difference];
    let heads = crate::analysis::Measure::ALL.into_iter().map(ShownMeasure::Heads);
    let effects = crate::analysis::MapMeasure::ALL.into_iter().map(ShownMeasure::Effects);
    heads
        .chain(LensMeasure::ALL.into_iter().map(ShownMeasure::Lens))
        .chain(usage.into_iter().map(ShownMeasure::Usage))
        .chain(effects)
}

fn of_what(measure: ShownMeasure) -> &'static str {
    match measure {
        ShownMeasure::Usage(_) => "the usage of experts by",
        ShownMeasure::Heads(_) => "heads by",
        ShownMeasure::Lens(_) => "the lens by",
        ShownMeasure::Effects(_) => "effects by",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_with_and_without_what_they_name() {
        assert_eq!(named("light", &["theme"], &["light"]), Some(NAMED));
        assert_eq!(named("theme light", &["theme"], &["light"]), Some(EXACT));
        assert_eq!(named("theme", &["theme"], &["light"]), Some(BEGUN));
        assert_eq!(named("theme ", &["theme"], &["light"]), Some(BEGUN));
        assert_eq!(named("ind", &["measure"], &["induction"]), Some(BEGUN));
        assert_eq!(named("in", &["measure"], &["induction"]), None);
        assert_eq!(named("theme dark", &["theme"], &["light"]), None);
    }
}
