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
    Example { prompt: "The capital of France is", shows: "3 Lens: the answer appears only in the last layers" },
    Example {
        prompt: "drum apple seven blue owl key | drum apple seven",
        shows: "2 Attention: layer 5 looks back to copy the list (induction)",
    },
    Example {
        prompt: "Once upon a time, there was a curious girl named Lily. Il était une fois un garçon timide. Había una vez una niña valiente.",
        shows: "1 Routing, v v: in layer 5 French and Spanish part ways",
    },
    Example {
        prompt: "When Mary and John went to the market, John gave a drink to",
        shows: "2 Attention: heads of layer 5 look at the other name",
    },
    Example { prompt: "The drums near the mountain", shows: "4 Next: the verb agrees with drums, not with mountain" },
];
