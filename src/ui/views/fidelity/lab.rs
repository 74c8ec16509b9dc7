//! The same prompt under several policies, each compared with the first.
//!
//! ```text
//! policy               loss    B − A  flips   attn    mlp  resid  first other token  flips by layer 0, 1, …
//! hf                 5.6963        0      0  100 %  100 %  100 %                      0 0 0
//! f32                5.7473   +0.051      6   12 %    9 %    8 %  3 ‘·is’ ‘,’         1 0 5
//! ```

use crate::analysis::diff::Mode;
use crate::analysis::{Lab, LabRow};
use crate::protocol::JobKind;
use crate::state::text::{fit, quoted, show_piece, width};
use crate::trace::HookKind;
use crate::ui::canvas::Canvas;
use crate::ui::chrome::title::view_panel;
use crate::ui::views::Panel;
use crate::ui::widgets::number::signed;
use ratatui::layout::Rect;
use ratatui::style::Style;

pub const PANEL: Panel = Panel::new(draw);

/// Widths of the name of the policy, the losses, the flips, a share, and the generated token, cells.
const NAME: usize = 20;
const LOSS: usize = 16;
const FLIPS: usize = 7;
const SHARE: usize = 7;
const OTHER: usize = 30;

/// Hooks with a column for their equal values.
const SHARES: [(HookKind, &str); 3] =
    [(HookKind::AttnOut, "attn"), (HookKind::MlpOut, "mlp"), (HookKind::ResidPost, "resid")];

fn draw(c: &mut Canvas, area: Rect) {
    let state = c.state;
    let job = state.jobs.iter().find(|job| job.kind == JobKind::Lab);
    let Some(lab) = &state.lab else {
        let inside = view_panel(c, area, ["precision lab".to_owned()]);
        let text = match (job.and_then(|job| job.progress), c.is_saved(), state.tokens.len()) {
            (_, true, _) => "needs a model: o opens one".to_owned(),
            (_, _, 0) => "no token yet".to_owned(),
            (Some((done, all)), ..) => format!("running: {} % · esc stops", done * 100 / all.max(1)),
            (None, ..) if job.is_some() => "running · esc stops".to_owned(),
            (None, _, n) => format!("enter reads the {n} tokens under every policy that can differ, and compares them"),
        };
        return c.nothing(inside, &text);
    };
    let is_old = !lab.tokens.iter().map(|token| token.id).eq(state.tokens.iter().map(|token| token.id));
    let n = lab.tokens.len();
    let old = match job {
        Some(job) => format!(
            " · running{}",
            job.progress.map_or(String::new(), |(done, all)| format!(" {} %", done * 100 / all.max(1)))
        ),
        None if is_old => " · of an earlier text: enter runs it again".to_owned(),
        None => String::new(),
    };
    let inside = view_panel(c, area, [format!("{n} tokens against {}{old}", lab.base)]);
    let columns = Columns::fitting(usize::from(inside.width.saturating_sub(2)), lab);
    c.put(inside, inside.x + 1, inside.y, &columns.head(), c.theme.dim());
    let notes = notes(lab);
    let rows = usize::from(inside.height.saturating_sub(1 + notes.len() as u16)).max(1);
    let overflow = lab.rows.len().saturating_sub(rows);
    c.pane_geometry().overflow = Some(overflow);
    let first = c.pane.scroll.min(overflow);
    c.left_out(area, &(first..(first + rows).min(lab.rows.len())), lab.rows.len());
    let mut y = inside.y + 1;
    let active = state.meta().map(|meta| meta.policy);
    for row in lab.rows.iter().skip(first).take(rows) {
        let style = if Some(row.policy) == active { c.theme.strong() } else { Style::new() };
        c.put(inside, inside.x + 1, y, &columns.row(lab, row), style);
        y += 1;
    }
    for note in notes {
        y += 1;
        c.put(inside, inside.x + 1, y, &fit(&note, usize::from(inside.width.saturating_sub(2))), c.theme.dim());
    }
}

fn notes(lab: &Lab) -> Vec<String> {
    vec![
        format!("attn, mlp, resid: values equal to those of {}, bit for bit, end to end", lab.base),
        format!(
            "{} token{} generated greedily; y v copies the table, e writes it with all layers",
            lab.generated(),
            if lab.generated() == 1 { "" } else { "s" }
        ),
    ]
}

/// The columns that fit.
struct Columns {
    has_shares: bool,
    has_other: bool,
    /// Width of the flips of a layer, cells; 0 = no room.
    layer: usize,
}

impl Columns {
    fn fitting(room: usize, lab: &Lab) -> Self {
        let mut left = room.saturating_sub(NAME + LOSS + FLIPS);
        let mut take = |cells: usize| {
            let fits = left >= cells;
            left -= if fits { cells } else { 0 };
            fits
        };
        let has_shares = take(SHARE * SHARES.len());
        let has_other = take(OTHER + 2);
        let most = lab.rows.iter().flat_map(|row| row.layers(Mode::EndToEnd)).map(|layer| layer.flips).max();
        let cell = most.unwrap_or(0).to_string().len().max(lab.layers().to_string().len()) + 1;
        Self { has_shares, has_other, layer: if take(cell * lab.layers() + 2) { cell } else { 0 } }
    }

    fn head(&self) -> String {
        let mut head = format!("{:<NAME$}{:>8}{:>8}{:>FLIPS$}", "policy", "loss", "change", "flips");
        if self.has_shares {
            head.extend(SHARES.iter().map(|(_, name)| format!("{name:>SHARE$}")));
        }
        if self.has_other {
            head += &format!("  {:<OTHER$}", "first other token generated");
        }
        if self.layer > 0 {
            head += "  flips by layer, 0 first";
        }
        head
    }

    fn row(&self, lab: &Lab, row: &LabRow) -> String {
        let loss = row.mean_loss.map_or("–".to_owned(), |loss| format!("{loss:.4}"));
        let change = lab.loss_change(row).map_or("–".to_owned(), signed);
        let mut text = format!("{:<NAME$}{loss:>8}{change:>8}{:>FLIPS$}", row.policy.name(), row.flips(Mode::EndToEnd));
        if self.has_shares {
            text.extend(SHARES.iter().map(|(hook, _)| format!("{:>SHARE$}", percent(row, *hook))));
        }
        if self.has_other {
            let other = fit(&other(lab, row), OTHER);
            text += &format!("  {other}{}", " ".repeat(OTHER.saturating_sub(width(&other))));
        }
        if self.layer > 0 {
            text += "  ";
            let layers = row.layers(Mode::EndToEnd).iter();
            text.extend(layers.map(|layer| format!("{:<1$}", layer.flips, self.layer)));
        }
        text
    }
}

/// A share in percent, never rounded up to 100.
fn percent(row: &LabRow, hook: HookKind) -> String {
    let equal = row.equal(Mode::EndToEnd, hook);
    if equal.equal == equal.values {
        "100 %".to_owned()
    } else {
        format!("{:.1} %", (equal.share() * 1e3).floor() / 10.0)
    }
}

/// The first generated token that differs from that of the base, in both.
fn other(lab: &Lab, row: &LabRow) -> String {
    let Some(at) = row.differs_at else {
        return if row.policy == lab.base { String::new() } else { format!("none of {}", row.generated.len()) };
    };
    let of = |row: Option<&LabRow>| {
        let token = row.and_then(|row| row.generated.get(at));
        token.map_or("the end".to_owned(), |token| quoted(&fit(&show_piece(&token.piece), 10)))
    };
    format!("{}: {}, not {}", at + 1, of(Some(row)), of(lab.base_row()))
}
