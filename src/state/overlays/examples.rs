//! Example prompts for the demo model (see its model card).

/// An example prompt.
pub struct Example {
    /// The prompt.
    pub prompt: &'static str,
    /// What it shows, and in which view.
    pub shows: &'static str,
}

/// The examples, offered while the demo model is open.
pub const EXAMPLES: [Example; 5] = [
    Example { prompt: "The capital of France is", shows: "3 Lens: the answer appears in the last layers" },
    Example {
        prompt: "drum apple seven blue owl key | drum apple seven",
        shows: "2 Attention: layer 5 copies the list (induction)",
    },
    Example {
        prompt: "Once upon a time, there was a curious girl named Lily. Il était une fois un garçon timide. Había una vez una niña valiente.",
        shows: "1 Routing, the map: layers 4 and 5 know the language",
    },
    Example {
        prompt: "When Mary and John went to the market, John gave a drink to",
        shows: "2 Attention: L3H6 looks at the second John",
    },
    Example { prompt: "The apples near the library", shows: "4 Next: the verb agrees with apples, not with library" },
];
