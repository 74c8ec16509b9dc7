//! A model being opened: the current step, and the progress of each file of a download.
//!
//! ```text
//! opening owner/name@rev
//! ██████████▌          43 %   11.2 of 26.4 GB   118 MB/s   2 min 09 s left
//! model-00001-of-00019.safetensors   ███████   loading   71 %
//! ```

use crate::protocol::Download;
use crate::state::Opening;
use crate::state::text::{fit, harmless, width};
use crate::trace::{duration, size};
use crate::ui::canvas::Canvas;
use crate::ui::widgets::bar::bar;
use ratatui::layout::Rect;

/// Width below which a file has one line without its size and step.
const NARROW: usize = 60;

/// Draws the progress into `area`, from its first line on.
pub fn draw(c: &mut Canvas, area: Rect, opening: &Opening) {
    let room = usize::from(area.width.saturating_sub(2));
    let mut y = area.y;
    c.put(area, area.x + 1, y, &fit(&format!("opening {}", harmless(&opening.name)), room), c.theme.strong());
    y += 1;
    let Some(download) = &opening.download else {
        c.put(area, area.x + 1, y, "reading its headers …", c.theme.dim());
        return;
    };
    if download.total == 0 {
        c.put(area, area.x + 1, y, "asking the Hub which files it needs …", c.theme.dim());
        c.put(area, area.x + 1, y + 1, &fit(&harmless(&download.note), room), c.theme.warn());
        return;
    }
    c.put(area, area.x + 1, y, &fit(&line(download, room), room), c.theme.accent());
    y += 1;
    if !download.note.is_empty() {
        c.put(area, area.x + 1, y, &fit(&harmless(&download.note), room), c.theme.warn());
        y += 1;
    }
    // Files being loaded come first: of many shards only a few are.
    let mut files: Vec<_> = download.files.iter().collect();
    files.sort_by_key(|file| match file.doing {
        "loading" | "checking" => 0,
        "waiting" => 1,
        _ => 2,
    });
    let left = usize::from(area.bottom().saturating_sub(y));
    let longest = files.iter().map(|file| width(&harmless(&file.name))).max().unwrap_or(0);
    // On a narrow screen the name and the progress are most important.
    let narrow = room < NARROW;
    let name_room = room.saturating_sub(if narrow { 6 } else { 36 }).min(longest);
    for file in files.iter().take(left) {
        let (name, share) = (fit(&harmless(&file.name), name_room), percent(file.done, file.total));
        let gap = " ".repeat(name_room - width(&name));
        let total = if file.total > 0 { size(file.total) } else { String::new() };
        let rest = if narrow { format!(" {share:>5}") } else { format!("  {:<10} {share:>5} {total:>9}", file.doing) };
        c.put(area, area.x + 1, y, &fit(&(name + &gap + &rest), room), c.theme.dim());
        y += 1;
    }
}

/// Bar, share, amounts, rate and time left; the bar only if there is room.
fn line(download: &Download, room: usize) -> String {
    let share = if download.total > 0 { download.done as f32 / download.total as f32 } else { 0.0 };
    let amounts = format!("{} of {}", size(download.done), size(download.total));
    let text = format!("{}  {amounts}{}", percent(download.done, download.total), pace(download));
    let cells = (room / 4).min(room.saturating_sub(width(&text) + 1));
    if cells < 4 { text } else { format!("{:<cells$} {text}", bar(share, cells)) }
}

/// `  118 MB/s  2 min 09 s left`, as far as known.
pub fn pace(download: &Download) -> String {
    let rate =
        if download.per_second > 0.0 { format!("  {}/s", size(download.per_second as u64)) } else { String::new() };
    let left = download.seconds_left.filter(|left| left.is_finite());
    rate + &left.map(|left| format!("  {} left", duration(left))).unwrap_or_default()
}

fn percent(done: u64, total: u64) -> String {
    if total == 0 { String::new() } else { format!("{} %", done.min(total) as u128 * 100 / u128::from(total)) }
}
