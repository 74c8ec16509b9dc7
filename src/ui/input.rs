//! Events of the terminal as events of the state.

use super::HitMap;
use crate::state::input::{Code, Key};
use crate::state::{Event, Gesture};
use crossterm::event::{
    Event as Terminal, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};

/// An event of the terminal as an event of the state, with the spots of the screen in `hits`; `None` if it means
/// nothing to the state.
pub fn translate(event: Terminal, hits: &HitMap) -> Option<Event> {
    match event {
        Terminal::Key(event) => key(event).map(Event::Key),
        Terminal::Paste(text) => Some(Event::Paste(text)),
        Terminal::Mouse(event) => Some(Event::Mouse(gesture(event)?, hits.at(event.column, event.row))),
        _ => None,
    }
}

fn gesture(event: MouseEvent) -> Option<Gesture> {
    Some(match event.kind {
        MouseEventKind::Down(MouseButton::Left) => Gesture::Press,
        MouseEventKind::Drag(MouseButton::Left) => Gesture::Drag,
        MouseEventKind::Up(MouseButton::Left) => Gesture::Release,
        MouseEventKind::ScrollUp => Gesture::WheelUp,
        MouseEventKind::ScrollDown => Gesture::WheelDown,
        _ => return None,
    })
}

fn key(event: KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let code = match event.code {
        KeyCode::Char(c) => Code::Char(c),
        KeyCode::Enter => Code::Enter,
        KeyCode::Esc => Code::Esc,
        KeyCode::Backspace => Code::Backspace,
        KeyCode::Delete => Code::Delete,
        KeyCode::Tab => Code::Tab,
        KeyCode::BackTab => Code::BackTab,
        KeyCode::Up => Code::Up,
        KeyCode::Down => Code::Down,
        KeyCode::Left => Code::Left,
        KeyCode::Right => Code::Right,
        KeyCode::Home => Code::Home,
        KeyCode::End => Code::End,
        KeyCode::PageUp => Code::PageUp,
        KeyCode::PageDown => Code::PageDown,
        _ => return None,
    };
    let held = |modifier| event.modifiers.contains(modifier);
    // A character includes its shift, and so does back-tab.
    let shift = held(KeyModifiers::SHIFT) && !matches!(code, Code::Char(_) | Code::BackTab);
    Some(Key { code, ctrl: held(KeyModifiers::CONTROL), alt: held(KeyModifiers::ALT), shift })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(code: KeyCode, modifiers: KeyModifiers) -> Option<Event> {
        translate(Terminal::Key(KeyEvent::new(code, modifiers)), &HitMap::default())
    }

    #[test]
    fn shift_is_told_only_where_the_character_does_not() {
        let Some(Event::Key(upper)) = press(KeyCode::Char('H'), KeyModifiers::SHIFT) else { panic!() };
        assert_eq!(upper, Key::of(Code::Char('H')));
        let Some(Event::Key(arrow)) = press(KeyCode::Left, KeyModifiers::SHIFT) else { panic!() };
        assert!(arrow.shift);
        let Some(Event::Key(back)) = press(KeyCode::BackTab, KeyModifiers::SHIFT) else { panic!() };
        assert_eq!(back, Key::of(Code::BackTab));
    }

    #[test]
    fn releases_and_unknown_keys_mean_nothing() {
        let mut release = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        release.kind = KeyEventKind::Release;
        assert!(translate(Terminal::Key(release), &HitMap::default()).is_none());
        assert!(press(KeyCode::CapsLock, KeyModifiers::NONE).is_none());
        assert!(translate(Terminal::FocusGained, &HitMap::default()).is_none());
    }
}
