use super::*;
use crate::trace::Piece;

fn about(shard: Option<Shard>) -> About {
    let shape = Shape { layers: 3, experts: 5, top_k: 2, vocab: 50, window: 16 };
    About {
        mixscope: "0".to_owned(),
        model: ModelAbout {
            name: "toy".to_owned(),
            hash: String::new(),
            precision: "hf".to_owned(),
            compute_dtype: "bf16".to_owned(),
            near_tie_dtype: "bf16".to_owned(),
            device: "cpu".to_owned(),
            shape,
        },
        corpus: CorpusAbout::default(),
        options: SweepOptions {
            window: 16,
            group_by: "file".to_owned(),
            text_field: "text".to_owned(),
            lines: false,
            seed: 3,
            contexts: 4,
            vocabulary: TokenKind::ALL.to_vec(),
            decode: 0,
            null: 50,
        },
        shard,
        cursor: None,
    }
}

/// A window with numbers that look random and depend on `seed` only.
fn reading(seed: u64, len: usize) -> Reading {
    let mut state = seed;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let layer = |next: &mut dyn FnMut(u64) -> u64| {
        let mut layer = LayerReading::default();
        for _ in 0..len {
            let logits: Vec<f32> = (0..5).map(|_| next(4000) as f32 / 1000.0).collect();
            let sum: f32 = logits.iter().map(|x| x.exp()).sum();
            let probs: Vec<f32> = logits.iter().map(|x| x.exp() / sum).collect();
            let chosen = crate::analysis::routing::top_k(&probs, 2);
            let of = |i: usize| probs[chosen[i] as usize];
            layer.weights.extend([of(0) / (of(0) + of(1)), of(1) / (of(0) + of(1))]);
            layer.norms.extend([next(900) as f64 / 7.0, next(900) as f64 / 7.0]);
            layer.largest.extend([next(900) as f32 / 7.0, next(900) as f32 / 7.0]);
            layer.chosen.extend(chosen);
            layer.logits.extend(logits);
            layer.probs.extend(probs);
        }
        layer
    };
    let layers = (0..3).map(|_| layer(&mut next)).collect();
    let ids = |next: &mut dyn FnMut(u64) -> u64| (0..len).map(|_| next(50) as u32).collect::<Vec<_>>();
    Reading {
        group: format!("group {}", seed % 3),
        place: Place { part: seed, window: 0 },
        is_first_part: true,
        phase: if seed % 4 == 0 { Phase::Decode } else { Phase::Prefill },
        ids: ids(&mut next),
        from: usize::from(seed % 4 == 0) * 3,
        predicted: ids(&mut next),
        nll: (0..len).map(|_| next(900) as f32 / 77.0).collect(),
        layers,
    }
}

fn sweep_of(shard: Option<Shard>) -> Sweep {
    counted(Sweep::new(about(shard)))
}

fn counted(mut sweep: Sweep) -> Sweep {
    let shard = sweep.about.shard;
    for part in (0..40).filter(|part| shard.is_none_or(|shard| shard.has(*part))) {
        let reading = reading(part, 4 + part as usize % 12);
        sweep.add(&reading);
    }
    sweep.spell(|id| Piece::from(format!("piece{id}")));
    sweep
}

fn bytes(sweep: &Sweep) -> Vec<u8> {
    let mut bytes = Vec::new();
    sweep.write(sweep.about.cursor.as_ref(), &mut bytes).unwrap();
    bytes
}

#[test]
fn shards_give_the_bytes_of_the_whole_in_any_order() {
    let whole = bytes(&sweep_of(None));
    for order in [[1, 2, 3, 4, 5, 6, 7], [7, 3, 1, 5, 2, 6, 4]] {
        let shards = order.map(|number| sweep_of(Some(Shard { number, of: 7 })));
        // Through a file, as on another machine.
        let read = |sweep: Sweep| Ok(("shard".to_owned(), Sweep::parse(&bytes(&sweep)).unwrap()));
        assert!(bytes(&Sweep::merged(shards.into_iter().map(read)).unwrap()) == whole, "{order:?}");
    }
    assert!(bytes(&Sweep::parse(&whole).unwrap()) == whole);
}

#[test]
fn merged_shards_spell_no_more_than_the_whole() {
    let without_vocabulary = |shard| {
        let mut about = about(shard);
        (about.options.vocabulary, about.options.contexts) = (Vec::new(), 1);
        counted(Sweep::new(about))
    };
    let shards = (1..=5).map(|number| Ok((String::new(), without_vocabulary(Some(Shard { number, of: 5 })))));
    let (merged, whole) = (Sweep::merged(shards).unwrap(), without_vocabulary(None));
    assert!(merged.pieces == whole.pieces && bytes(&merged) == bytes(&whole));
}

#[test]
fn shards_that_do_not_belong_together_are_named() {
    let merged = |shards: Vec<Sweep>| {
        let named = shards.into_iter().zip('a'..).map(|(sweep, name)| Ok((name.to_string(), sweep)));
        Sweep::merged(named).unwrap_err().to_string()
    };
    let shard = |number| sweep_of(Some(Shard { number, of: 3 }));
    assert_eq!(merged(vec![shard(1), shard(3)]), "of 3 shards these are missing: 2");
    assert!(merged(vec![shard(1), shard(2), shard(1)]).contains("a and c are both shard 1 of 3"));
    assert!(merged(vec![sweep_of(None)]).contains("a is a sweep of a whole corpus"));
    assert!(merged(vec![]).contains("no shard"));
    let mut stopped = shard(2);
    stopped.about.cursor = Some(Cursor::default());
    assert!(merged(vec![shard(1), stopped]).contains("b was stopped before its end"));
    let mut other = shard(2);
    other.about.options.window = 8;
    assert!(merged(vec![shard(1), other]).contains("options.window is 16 in the first and 8 in the second"));
}

#[test]
fn damaged_files_are_refused() {
    let whole = bytes(&sweep_of(None));
    for cut in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
        assert!(Sweep::parse(&whole[..cut]).is_err(), "{cut}");
    }
    // Every digit of the description replaced in turn: refused or read, and never a panic.
    let at = whole.windows(8).position(|part| part == b"\"layers\"").unwrap();
    for (i, old) in whole.iter().enumerate().skip(at).take(400).filter(|(_, byte)| byte.is_ascii_digit()) {
        for digit in b"0789" {
            let mut damaged = whole.clone();
            damaged[i] = *digit;
            if let Ok(read) = Sweep::parse(&damaged) {
                assert!(digit == old || read != sweep_of(None));
            }
        }
    }
}

#[test]
fn counts_are_those_of_a_plain_count() {
    let sweep = sweep_of(None);
    let readings: Vec<Reading> = (0..40).map(|part| reading(part, 4 + part as usize % 12)).collect();
    fn tokens<'r>(readings: &'r [Reading], group: &str, phase: Phase) -> Vec<(&'r Reading, usize)> {
        let of = readings.iter().filter(|reading| reading.group == group && reading.phase == phase);
        of.flat_map(|reading| (reading.from..reading.ids.len()).map(move |pos| (reading, pos))).collect()
    }
    for (name, group) in &sweep.groups {
        for (phase, counts) in &group.phases {
            let all = tokens(&readings, name, *phase);
            assert_eq!(counts.tokens, all.len() as u64);
            for layer in 0..3 {
                let chosen =
                    |(reading, pos): &(&Reading, usize)| reading.layers[layer].chosen[2 * pos..2 * pos + 2].to_vec();
                for expert in 0..5u32 {
                    let count =
                        |what: &dyn Fn(&[u32]) -> bool| all.iter().filter(|at| what(&chosen(at))).count() as u64;
                    assert_eq!(counts.of(Count::First, layer)[expert as usize], count(&|chosen| chosen[0] == expert));
                    assert_eq!(
                        counts.of(Count::Chosen, layer)[expert as usize],
                        count(&|chosen| chosen.contains(&expert))
                    );
                    for other in expert + 1..5 {
                        let pair = counts.shape().pair(expert as usize, other as usize);
                        let both = count(&|chosen| chosen.contains(&expert) && chosen.contains(&other));
                        assert_eq!(counts.of(Count::Pairs, layer)[pair], both);
                    }
                    let weight = |(reading, pos): &(&Reading, usize)| {
                        let at = chosen(&(*reading, *pos)).iter().position(|e| *e == expert)?;
                        Some(f64::from(reading.layers[layer].weights[2 * pos + at]))
                    };
                    let sum: f64 = all.iter().filter_map(weight).sum();
                    assert!((counts.total(Total::Weight, layer)[expert as usize].value() - sum).abs() < 1e-9);
                }
                let same = all.iter().filter(|(reading, pos)| {
                    *pos > 0 && chosen(&(*reading, *pos))[0] == chosen(&(*reading, *pos - 1))[0]
                });
                assert_eq!(counts.one(Count::SameFirst, layer), same.count() as u64);
            }
        }
    }
}

#[test]
fn random_contexts_are_a_fair_sample_and_the_strongest_are_the_strongest() {
    let sweep = sweep_of(None);
    let wide = &sweep.wide[&Phase::Prefill];
    let readings = || (0..40).map(|part| reading(part, 4 + part as usize % 12)).filter(|r| r.phase == Phase::Prefill);
    for layer in 0..3 {
        for expert in 0..5usize {
            let mut probs: Vec<f32> = readings()
                .flat_map(|reading| {
                    let of = &reading.layers[layer];
                    let chose = |pos: &usize| of.chosen[2 * pos..2 * pos + 2].contains(&(expert as u32));
                    (0..reading.ids.len()).filter(chose).map(|pos| of.probs[5 * pos + expert]).collect::<Vec<_>>()
                })
                .collect();
            probs.sort_by(|a, b| b.total_cmp(a));
            let kept = wide.contexts.of(layer, expert, PickedBy::Strongest);
            assert_eq!(kept.iter().map(|sample| sample.prob).collect::<Vec<_>>(), probs[..4]);
            let random = wide.contexts.of(layer, expert, PickedBy::Random);
            assert!(random.len() == 4 && random.is_sorted_by_key(|sample| sample.priority));
        }
    }
}
