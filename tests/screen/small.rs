//! Small screens: the cursor's row stays in sight, what has no room is counted, nothing is cut in the middle.

use mixscope::app::Still;
use mixscope::state::text::show_piece;
use mixscope::ui::Depth;

const PROMPT: &str = "The capital of France is";
const SIZES: [(u16, u16); 5] = [(160, 45), (120, 35), (100, 30), (80, 24), (40, 10)];

fn still(keys: &str) -> Still {
    crate::support::still::still(PROMPT, keys)
}

fn lines(still: &mut Still, (width, height): (u16, u16)) -> Vec<String> {
    let screen = still.screen(width, height, Depth::Mono);
    (0..height).map(|y| (0..width).map(|x| screen[(x, y)].symbol()).collect()).collect()
}

#[test]
fn every_section_of_the_contributions_keeps_a_line() {
    for keys in ["D", "2 D", "3 D", "4 D"] {
        let mut still = still(keys);
        let expert = format!("E{} ", still.state.token().unwrap().experts(5).unwrap()[0]);
        for size in SIZES {
            let text = lines(&mut still, size).join("\n");
            let sections: &[&str] = if size.1 == 10 {
                &["mlp", "attn of layer 5", "embed", "Σ"]
            } else {
                &["mlp of layer 5", &expert, "attn of layer 5", "H7 ", "embed", "embed + attn + mlp"]
            };
            for section in sections {
                assert!(text.contains(section), "{keys} {size:?}: no {section}\n{text}");
            }
        }
    }
}

#[test]
fn what_the_contributions_leave_out_is_summed() {
    let mut still = still("D");
    let text = lines(&mut still, (60, 24)).join("\n");
    assert!(text.contains(" others "), "{text}");
    let text = lines(&mut still, (100, 30)).join("\n");
    assert!(text.contains("6 layers: attn +") && text.contains(", mlp +") && text.contains(" · embed "), "{text}");
    assert!(text.contains(" L0 "), "the view above is whole\n{text}");
    // The head at the cursor has a line of its own even if it says little.
    still.press("] ]").unwrap();
    let text = lines(&mut still, (120, 30)).join("\n");
    assert!(text.contains("H2 ") && text.contains("others"), "{text}");
}

#[test]
fn the_row_of_the_cursor_is_always_in_sight_and_the_rest_is_counted() {
    for (keys, views) in [("1", 5), ("2", 1), ("3", 3)] {
        for details in ["", "d"] {
            let mut still = still(keys);
            still.press(details).unwrap();
            for layout in 0..views {
                for layer in (0..6).rev() {
                    still.state.cursor.layer = layer;
                    still.state.cursor.expert = layer;
                    for size in SIZES {
                        let rows = lines(&mut still, size);
                        let text = rows.join("\n");
                        let is_folded = size.1 == 10 && !details.is_empty();
                        let row = if keys == "1" && layout == 4 { format!("E{layer}") } else { format!("L{layer}") };
                        let marked = format!("▸{row}");
                        let seen = match (keys, layout) {
                            // The tab line has the layer of the cursor, too.
                            _ if is_folded => true,
                            ("1", 1) => text.contains(&format!("layer {layer}")),
                            ("2", _) => rows[4..].iter().any(|line| line.contains(&row)),
                            _ => text.contains(&marked),
                        };
                        assert!(seen, "{keys} {details} layout {layout} {size:?}: no {row}\n{text}");
                        let whole = (0..6).all(|l| rows[4..].iter().any(|line| line.contains(&format!("L{l}"))));
                        if !is_folded && (keys != "1" || matches!(layout, 0 | 2 | 3)) {
                            let is_counted = text.contains(" more ");
                            assert!(whole || is_counted, "{keys} {details} {layout} {size:?}: rows vanish\n{text}");
                        }
                    }
                }
                still.press("v").unwrap();
            }
        }
    }
}

#[test]
fn candidates_are_in_sight_at_every_size() {
    for keys in ["4 down", "4 down d"] {
        let mut still = still(keys);
        let marked = show_piece(&still.state.token().unwrap().next.top[1].piece);
        for size in SIZES {
            let text = lines(&mut still, size).join("\n");
            assert!(text.contains(&format!("{marked} ")), "{keys} {size:?}\n{text}");
        }
    }
}

#[test]
fn the_map_names_tokens_whole() {
    let mut still = still("v v left");
    for size in SIZES {
        let rows = lines(&mut still, size);
        let names = rows.iter().find(|row| row.contains('▾')).unwrap_or_else(|| panic!("{size:?}: {rows:#?}"));
        let names = names.split('│').find(|part| part.contains('▾')).unwrap();
        let names = names.trim_start_matches([' ', '0']).trim_end();
        for name in names.split(['▏', '▾']).map(str::trim).filter(|name| !name.is_empty()) {
            let is_token = ["<s>", "·The", "·capital", "·of", "·France", "·is"].contains(&name);
            assert!(is_token, "{size:?}: {name} in {names}");
        }
        assert!(names.contains("▾·France"), "{size:?}: the cursor's: {names}");
    }
}

#[test]
fn without_colours_the_text_has_its_experts_as_numbers() {
    let mut still = still("");
    let layer = still.state.cursor.layer;
    let first: Vec<u32> = still.state.tokens.iter().map(|token| token.experts(layer).unwrap()[0]).collect();
    for (size, text_at) in [((160, 45), 2), ((80, 24), 1), ((40, 10), 1)] {
        let rows = lines(&mut still, size);
        let digits: Vec<u32> = rows[text_at + 1].chars().filter_map(|c| c.to_digit(10)).collect();
        assert_eq!(digits, first, "{size:?}: {}", rows[text_at + 1]);
        assert!(!rows[1].contains("colour"), "{}", rows[1]);
    }
    // Each is below its token.
    let rows = lines(&mut still, (80, 24));
    let at = rows[1].chars().position(|c| c == 'F').unwrap() - 1;
    assert_eq!(rows[2].chars().nth(at).unwrap().to_digit(10), Some(first[4]));
    still.press("c").unwrap();
    assert!(!lines(&mut still, (160, 45))[3].chars().any(|c| c.is_ascii_digit()), "losses are no experts");
}

#[test]
fn the_header_keeps_what_the_model_is() {
    let mut still = still("");
    for (width, parts) in [
        (160, &["demo (small model trained", "policy hf", "bf16", "6×8 experts top-2", "kept"][..]),
        (100, &["demo", "policy hf", "bf16", "6×8 experts top-2"]),
        (80, &["demo", "policy hf", "bf16"]),
    ] {
        let header = lines(&mut still, (width, 30)).swap_remove(0);
        for part in parts {
            assert!(header.contains(part), "{width}: no {part} in {header}");
        }
    }
}

#[test]
fn legends_of_attention_are_whole_or_not_there() {
    for keys in ["2", "2 x", "2 x x", "2 a a a", "2 v"] {
        let mut still = still(keys);
        for size in SIZES {
            let text = lines(&mut still, size).join("\n");
            for (part, whole) in [("▴ h", "▴ here"), ("▴ here,", "▴ here, most"), ("a row s", "a row sums to 1")]
            {
                assert_eq!(text.matches(part).count(), text.matches(whole).count(), "{keys} {size:?} {part}\n{text}");
            }
        }
    }
    let text = lines(&mut still("2"), (120, 35)).join("\n");
    assert!(text.contains("  0 <s>  ") && text.contains("5 ·is"), "the matrix names its rows\n{text}");
}
