//! The router's weights: as they are stored, or quantised.

use crate::model::precision::{Gate, GateBlock};
use crate::model::weights::Matrix;
use anyhow::{Context, Result, ensure};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use std::sync::OnceLock;

/// The router of one layer, `[experts, d_model]`.
#[derive(Clone)]
pub struct Router {
    stored: Matrix,
    q8: OnceLock<Matrix>,
    q4: OnceLock<Matrix>,
}

impl Router {
    pub fn new(stored: Matrix) -> Self {
        Self { stored, q8: OnceLock::new(), q4: OnceLock::new() }
    }

    /// The weights in the form of `gate`. They are quantised when they are first read.
    ///
    /// # Errors
    /// If the width of the weights is not a multiple of the width of a block.
    pub fn read_as(&self, gate: Gate) -> Result<&Matrix> {
        let Gate::Quantised(block) = gate else { return Ok(&self.stored) };
        let (made, dtype) = match block {
            GateBlock::Q8_0 => (&self.q8, GgmlDType::Q8_0),
            GateBlock::Q4_0 => (&self.q4, GgmlDType::Q4_0),
        };
        if let Some(matrix) = made.get() {
            return Ok(matrix);
        }
        let matrix = quantised(&self.stored, dtype).context("cannot quantise the router's weights")?;
        let matrix = matrix.with_bias_of(&self.stored);
        Ok(made.get_or_init(|| matrix))
    }
}

fn quantised(matrix: &Matrix, dtype: GgmlDType) -> Result<Matrix> {
    let (rows, cols) = (matrix.rows(), matrix.cols());
    let block = GateBlock::VALUES;
    ensure!(cols.is_multiple_of(block), "their width is {cols}, and blocks hold {block} values");
    let stored = Tensor::from_vec(matrix.to_f32(), (rows, cols), &Device::Cpu)?;
    let values = QTensor::quantize(&stored, dtype)?.dequantize(&Device::Cpu)?;
    Ok(Matrix::of(&values.flatten_all()?.to_vec1()?, rows, cols))
}
