//! ` 1 Routing  2 Attention  3 Lens  4 Next  5 Fidelity      token 17 ‘·ball’  layer 3  head 2  expert 5`

use crate::analysis::view::Tab;
use crate::state::Spot;
use crate::state::input::Action;
use crate::state::text::{fit, quoted, width};
use crate::ui::canvas::Canvas;
use ratatui::layout::Rect;

pub fn draw(c: &mut Canvas, area: Rect) {
    let state = c.state;
    let narrow = area.width < 70;
    let mut x = area.x;
    for (i, tab) in Tab::ALL.into_iter().enumerate() {
        let chosen = tab == state.tab();
        // A narrow screen names only the tab that is shown.
        let text = if narrow && !chosen { format!(" {} ", i + 1) } else { format!(" {} {} ", i + 1, tab.name()) };
        let style = if chosen { c.theme.cursor() } else { c.theme.dim() };
        let spot = Spot { action: Some(Action::Show(tab)), ..Spot::default() };
        x = c.put_spot(area, x, area.y, &text, style, spot);
    }
    let cursor = state.cursor;
    let token = quoted(&fit(c.shown(cursor.token), 16));
    let room = usize::from(area.right().saturating_sub(x + 1));
    let forms = [
        format!(
            "token {} {token}  layer {}  head {}  expert {} ",
            cursor.token, cursor.layer, cursor.head, cursor.expert
        ),
        format!("t{} {token} L{} H{} E{} ", cursor.token, cursor.layer, cursor.head, cursor.expert),
        format!("t{} L{} H{} E{} ", cursor.token, cursor.layer, cursor.head, cursor.expert),
    ];
    if let Some(text) = forms.iter().find(|text| width(text) <= room) {
        c.put_right(area, area.y, text, c.theme.strong());
    }
}
