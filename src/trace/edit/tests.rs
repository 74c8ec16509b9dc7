use super::*;
use crate::trace::Dims;

fn dims() -> Dims {
    Dims {
        layers: 6,
        d_model: 64,
        d_ff: 96,
        heads: 8,
        kv_heads: 2,
        d_head: 8,
        experts: 8,
        top_k: 2,
        vocab: 300,
        context: 64,
        window: None,
        ..Dims::default()
    }
}

#[test]
fn an_edit_is_printed_as_it_is_read() {
    let texts = [
        "ban L3.E5",
        "zero L3.E5",
        "scale L3.E5 0.5",
        "force L3.E1,E4",
        "bias L3.E5 +1",
        "bias L3.E5@last -0.25",
        "topk L3 1",
        "zero L5.H2",
        "mean L5.H2@7..12",
        "cut L5.H2 12->3",
        "cut L5.H* *->0",
        "zero L4.attn@prompt",
        "zero L4.mlp@generated",
        "zero L*.shared",
        "add L10.resid_post v.safetensors:name 4",
        "add L2.q@3.. \"my vectors.safetensors\":a.b 1",
        "patch L4.resid_pre@7 from.safetensors@3",
        "patch L4.H0..3 from.safetensors",
        "patch L4.E1,E2 \"a@b:c.safetensors\"@0",
        "replay L* from.safetensors",
        "replay! L3..5@prompt routed.npy",
        "ban L0,L2..4.E1,E2,E4..6@5",
    ];
    for text in texts {
        assert_eq!(text.parse::<Edit>().unwrap().to_string(), text);
    }
}

#[test]
fn other_spellings_are_read_too() {
    for (text, printed) in [
        ("  ban   l3.e5  @7 # the loud one", "ban L3.E5@7"),
        ("bias L3.E5 1.0", "bias L3.E5 +1"),
        ("topk L3 1@2..6", "topk L3@2..6 1"),
        ("scale L3.E5 0.5 @last", "scale L3.E5@last 0.5"),
        ("add L1.q @3 v.safetensors 2", "add L1.q@3 v.safetensors 2"),
        ("patch L4.hook_resid_pre@7 from x.safetensors@3", "patch L4.resid_pre@7 x.safetensors@3"),
        ("patch L4.attn.hook_z x.safetensors", "patch L4.z x.safetensors"),
        ("add L1.resid_post v.safetensors", "add L1.resid_post v.safetensors 1"),
        (r"add L1.resid_post C:\v.safetensors 2", r#"add L1.resid_post "C:\\v.safetensors" 2"#),
        ("ban L3.E5,E1,E5", "ban L3.E1,E5"),
        ("zero L0..1.H0..1", "zero L0,L1.H0,H1"),
    ] {
        let edit: Edit = text.parse().unwrap();
        assert_eq!(edit.to_string(), printed);
        assert_eq!(printed.parse::<Edit>().unwrap(), edit);
    }
    let listed = parse_edits("\u{feff}# two\nban L3.E5\n\n   zero L1.attn # why\n").unwrap();
    assert_eq!(listed.iter().map(Edit::to_string).collect::<Vec<_>>(), ["ban L3.E5", "zero L1.attn"]);
}

#[test]
fn lists_may_be_json() {
    let listed = |text: &str| parse_edits(text).unwrap().iter().map(Edit::to_string).collect::<Vec<_>>();
    assert_eq!(listed(r#"["ban L1.E2", {"edit": "topk L0 1", "sites": 7}]"#), ["ban L1.E2", "topk L0 1"]);
    assert_eq!(listed(r#"{"edits": [{"edit": "zero L0.attn"}]}"#), ["zero L0.attn"]);
    let steering = r#"{"layer_configs": {
        "10": {"mode": "activate", "activate_ids": [2], "deactivate_ids": [5, 3]},
        "7": {"mode": "deactivate", "expert_ids": [3, 2]}
    }}"#;
    assert_eq!(listed(steering), ["ban L7.E2,E3", "ban L10.E3,E5", "force L10.E2"]);
    for (text, part) in [
        ("[1]", "edit 1: expected a text, found 1"),
        (r#"["ban L1"]"#, "edit 1: `ban L1`"),
        ("{}", "as `edits` or with `layer_configs`, found {}"),
        (r#"{"edits": "ban L1.E2"}"#, r#"found "ban L1.E2""#),
        (r#"{"layer_configs": [7]}"#, "expected an object by layer, found [7]"),
        (r#"{"layer_configs": {"1": [7]}}"#, "layer 1: expected an object, found [7]"),
        (r#"{"layer_configs": {"1": {"mode": 3}}}"#, "or `activate`, found 3"),
        (r#"{"layer_configs": {"1": {"expert_ids": 3}}}"#, "expert_ids: expected a list, found 3"),
        (r#"["ban L5..3.E1"]"#, "edit 1: `ban L5..3.E1`: `L5..3` begins with 5"),
        ("[", "not valid JSON"),
        (r#"{"layer_configs": {"x": {}}}"#, "`x` is no layer"),
        (r#"{"layer_configs": {"1": {"mode": "boost", "expert_ids": [1]}}}"#, "found `boost`"),
        (r#"{"layer_configs": {"1": {"expert_ids": [-1]}}}"#, "expected numbers of experts, found -1"),
    ] {
        let error = format!("{:#}", parse_edits(text).unwrap_err());
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_wrong_edit_says_what_is_wrong_and_how_it_is_written() {
    for (text, part) in [
        ("", "an edit begins with one of ban, zero"),
        ("drop L3.E5", "an edit begins with one of ban, zero"),
        ("ban! L3.E5", "an edit begins with one of"),
        ("ban", "its layer is missing; it is written like `ban L3.E5`"),
        ("ban 3.E5", "`3` names no layer"),
        ("ban L3", "names no part of the layer"),
        ("ban L3.H5", "`H5` names no expert"),
        ("ban L5..3.E1", "`L5..3` begins with 5, which is after 3: write `L3..5`"),
        ("ban L3.E4,E7..2", "`E7..2` begins with 7, which is after 2: write `E2..7`"),
        ("zero L3.H4..1", "write `H1..4`"),
        ("patch L3.H4..1 x.safetensors", "write `H1..4`"),
        ("patch L3.E4..1 x.safetensors", "write `E1..4`"),
        ("zero L3.attn@5..2", "`@5..2` begins with 5, which is after 2: write `@2..5`"),
        ("cut L5.H2 9..7->3", "`9..7` begins with 9, which is after 7: write `7..9`"),
        ("ban L0..99999.E1", "names more than 65536"),
        ("ban L3-5.E1", "`L3-5` names no layer, such as L3, L3..5 or L*"),
        ("bann L3.E5", "did you mean `ban`?"),
        ("Zero L3.E5", "did you mean `zero`?"),
        ("scale L3", "like `scale L3.E5 0.5`, `scale L5.H2 0.5`, `scale L4.attn 0.5` or `scale L4.mlp 0.5`"),
        ("replay", "like `replay L* FILE` or `replay! L* FILE`"),
        ("add L1", "`add L10.resid_post FILE 4.0` or `add L10.resid_post FILE:NAME 4.0`"),
        ("ban L3.shared", "the shared expert is not chosen"),
        ("scale L3.E5", "the factor is missing"),
        ("scale L3.E5 much", "`much` is not a number"),
        ("scale L3.E5 inf", "`inf` is not a number"),
        ("ban L3.E5 @ever", "`@ever` is none of @7"),
        ("ban L3.E5@2 @3", "two scopes"),
        ("ban L3.E5 now", "`now` is too much"),
        ("cut L5.H2 12", "`12` has no `->`"),
        ("cut L5.H2 3->12", "a query never sees a key after it"),
        ("topk L3 many", "`many` is not a number of experts"),
        ("patch L3.pattern x.safetensors", "no row of its own"),
        ("patch L3.expert_indices x.safetensors", "use `force` or `replay`"),
        ("patch L3.residual x.safetensors", "hooks are resid_pre"),
        ("add L3.resid_post \"v", "a quote is not closed"),
        ("replay L3 x.safetensors@4", "leave out the `@`"),
        ("zero L3.bus", "`bus` is none of E5, H2, attn, mlp, shared"),
    ] {
        let error = format!("{:#}", text.parse::<Edit>().unwrap_err());
        assert!(error.contains(part), "`{text}`: {error}");
    }
    let error = format!("{:#}", parse_edits("ban L3.E5\nban L3\n").unwrap_err());
    assert!(error.starts_with("line 2: "), "{error}");
}

#[test]
fn what_the_model_lacks_is_refused_with_the_range_there_is() {
    for (text, part) in [
        ("ban L6.E5", "there is no L6: layers are L0..5"),
        ("ban L3.E8", "there is no E8: experts are E0..7"),
        ("cut L3.H8 1->0", "there is no H8: heads are H0..7"),
        ("ban L3.E0..6", "a token needs 2 experts, and this leaves 1 of 8"),
        ("ban L3.E*", "this leaves 0 of 8"),
        ("topk L3 9", "1 to 8 experts"),
        ("topk L3 0", "1 to 8 experts"),
        ("zero L3.shared", "no shared expert"),
    ] {
        let error = format!("{:#}", text.parse::<Edit>().unwrap().check(dims()).unwrap_err());
        assert!(error.contains(part), "`{text}`: {error}");
    }
    for text in ["ban L5.E7", "topk L* 8", "force L0.E*", "zero L2.H*"] {
        text.parse::<Edit>().unwrap().check(dims()).unwrap();
    }
}
