//! The precision lab as text.

use crate::analysis::diff::Mode;
use crate::analysis::{Lab, LabLayer, LabRow, LabToken};
use crate::cli::diff_report::percent;
use crate::trace::{HookKind, Policy, is_obeyed};

/// Columns of equal values.
const COLUMNS: [HookKind; 3] = [HookKind::AttnOut, HookKind::MlpOut, HookKind::ResidPost];
/// Characters of a token.
const TOKEN: usize = 16;

/// The run, and two tables: end to end with losses and generated tokens, and each layer alone.
pub fn lab_text(lab: &Lab, left_out: &[(Policy, String)]) -> String {
    let (n, base) = (lab.tokens.len(), lab.base);
    let tokens = if n == 1 { "1 token".to_owned() } else { format!("{n} tokens") };
    let mut text = format!("{}\n{tokens} · base {base} · dtype {}\n", lab.model, lab.dtype);
    if !left_out.is_empty() {
        let left_out: Vec<String> = left_out.iter().map(|(policy, why)| format!("{policy} ({why})")).collect();
        text += &format!("left out, because they would show nothing new: {}\n", left_out.join(", "));
    }
    text += &table(lab, Mode::EndToEnd);
    text += &table(lab, Mode::Isolated);
    text += "shares of values equal to the base's, bit for bit; flips: tokens whose set of experts differs (in brackets: within \
             rounding)\n";
    text
}

fn table(lab: &Lab, mode: Mode) -> String {
    let mut lines = vec![String::new(), mode.to_string(), "  policy".to_owned()];
    lines.extend(lab.rows.iter().map(|row| format!("  {}", row.policy)));
    let rows = |of: &dyn Fn(&LabRow) -> String| lab.rows.iter().map(of).collect::<Vec<String>>();
    let unless_base = |row: &LabRow, text: String| if row.policy == lab.base { "-".to_owned() } else { text };
    let mut columns: Vec<(String, Vec<String>)> = Vec::new();
    if mode == Mode::EndToEnd {
        let loss = |row: &LabRow| row.mean_loss.map_or_else(|| "-".to_owned(), |loss| format!("{loss:.5}"));
        let change = |row: &LabRow| match lab.loss_change(row) {
            Some(change) => unless_base(row, format!("{change:+.5}")),
            None => "-".to_owned(),
        };
        columns.push(("mean loss".to_owned(), rows(&loss)));
        columns.push(("change".to_owned(), rows(&change)));
    }
    for hook in COLUMNS {
        let equal = |row: &LabRow| unless_base(row, format!("{} %", percent(row.equal(mode, hook).share())));
        columns.push((hook.short_name().to_owned(), rows(&equal)));
    }
    let flips = |row: &LabRow| {
        let sum = |of: fn(&LabLayer) -> usize| row.layers(mode).iter().map(of).sum::<usize>();
        let exact = match sum(|layer| layer.exact_ties) {
            0 => String::new(),
            exact => format!(", {exact} exact"),
        };
        unless_base(row, format!("{} ({}{exact})", row.flips(mode), sum(|layer| layer.within_rounding)))
    };
    columns.push(("flips".to_owned(), rows(&flips)));
    columns.push(by_layer(lab, mode));
    for (name, cells) in columns {
        push(&mut lines, &name, &cells, true);
    }
    if mode == Mode::EndToEnd && lab.steps > 0 {
        push(&mut lines, &generated(lab), &rows(&|row| first_difference(lab, row)), false);
    }
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The header of the column of first differences: how many tokens were compared.
fn generated(lab: &Lab) -> String {
    let most = lab.generated();
    let ended = if most < lab.steps { ", where the text ends" } else { "" };
    format!("first difference in {most} token{}{ended}", if most == 1 { "" } else { "s" })
}

/// Appends a column to the lines of the table. The third line is the header.
fn push(lines: &mut [String], name: &str, cells: &[String], right: bool) {
    let before = lines[2..].iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let width = cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0).max(name.chars().count());
    let cells = std::iter::once(name).chain(cells.iter().map(String::as_str));
    for (line, cell) in lines[2..].iter_mut().zip(cells) {
        *line = match right {
            true => format!("{line:<before$}  {cell:>width$}"),
            false => format!("{line:<before$}  {cell}"),
        };
    }
}

/// The column of flips by layer.
fn by_layer(lab: &Lab, mode: Mode) -> (String, Vec<String>) {
    let layers = || lab.rows.iter().map(|row| row.layers(mode));
    let digits = |number: usize| number.to_string().len();
    let flips = layers().flatten().map(|layer| digits(layer.flips)).max().unwrap_or(1);
    let width = flips.max(digits(lab.layers().saturating_sub(1)));
    let line = |numbers: &mut dyn Iterator<Item = usize>| {
        numbers.map(|number| format!("{number:>width$}")).collect::<Vec<_>>().join(" ")
    };
    let name = format!("by layer {}", line(&mut (0..lab.layers())));
    let cells = lab.rows.iter().map(|row| match row.policy == lab.base {
        true => String::new(),
        false => line(&mut row.layers(mode).iter().map(|layer| layer.flips)),
    });
    (name, cells.collect())
}

/// `4: ‘▁a’ instead of ‘▁the’`
fn first_difference(lab: &Lab, row: &LabRow) -> String {
    let Some(at) = row.differs_at else {
        return if row.policy == lab.base { "-" } else { "none" }.to_owned();
    };
    let of_base = lab.base_row().map_or(&[][..], |base| &base.generated);
    format!("{}: {} instead of {}", at + 1, token(row.generated.get(at)), token(of_base.get(at)))
}

/// A token's spelling on one line, shortened.
fn token(token: Option<&LabToken>) -> String {
    let Some(token) = token else { return "the end".to_owned() };
    let mut shown = String::new();
    for c in token.piece.chars() {
        if shown.chars().count() >= TOKEN {
            shown.push('…');
            break;
        }
        if is_obeyed(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    format!("‘{shown}’")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stays_on_its_line_and_is_not_obeyed() {
        let shown = |piece: &str| token(Some(&LabToken { id: 0, piece: piece.into() }));
        assert_eq!(shown("▁the"), "‘▁the’");
        assert_eq!(shown("a\n\u{1b}[2J"), "‘a\\n\\u{1b}[2J’");
        assert_eq!(shown(&"x".repeat(40)), format!("‘{}…’", "x".repeat(16)));
        assert_eq!(token(None), "the end");
    }
}
