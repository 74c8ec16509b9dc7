use crate::trace::Dtype;

/// How narrowly the last chosen expert won.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margin {
    /// Logit of the last chosen expert minus that of the best rejected expert.
    pub gap: f32,
    /// The larger magnitude of the two logits.
    pub scale: f32,
    /// Whether the scores that the model compares are equal.
    pub tied: bool,
}

impl Margin {
    /// The gap in ulps of `dtype` at the larger logit.
    pub fn ulps(self, dtype: Dtype) -> f32 {
        self.gap / dtype.ulp(self.scale)
    }

    /// Whether one ulp of `dtype` could have chosen another expert: each of the two logits may be off by half an ulp.
    pub fn is_near_tie(self, dtype: Dtype) -> bool {
        // A rejected expert whose logit is far above was rejected by an edit, or by a faulty program.
        self.tied || self.gap.abs() <= dtype.ulp(self.scale)
    }
}
