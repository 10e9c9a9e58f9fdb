//! One step of recurrent layers, with PyTorch's gate order. `self` is the input's share of the gates, `x
//! W_ih^T + b_ih`, computed by a layer for all steps at once; `hidden` is `None` for a state of zeros.

use super::Tensor;

impl Tensor {
    /// `self + h W_hh^T + b_hh`.
    #[track_caller]
    fn with_hidden(&self, hidden: Option<&Self>, weight: &Self, bias: &Self) -> Self {
        match hidden {
            Some(h) => h.matmul(&weight.t()) + self + bias,
            None => self + bias,
        }
    }

    /// `[N, G * H]` as G tensors `[N, H]`.
    #[track_caller]
    fn gates<const G: usize>(&self) -> [Self; G] {
        let width = self.shape().get(1).copied().unwrap_or(0) / G;
        std::array::from_fn(|i| self.narrow(1, i * width, width))
    }

    /// `torch.nn.RNNCell`: `h' = tanh(self + h W_hh^T + b_hh)`, or ReLU for tanh; `self` and `h` `[N, H]`, weight
    /// `[H, H]`, bias `[H]`.
    ///
    /// # Panics
    /// If the extents do not fit.
    #[track_caller]
    #[must_use]
    pub fn rnn_cell(&self, hidden: Option<&Self>, weight_hh: &Self, bias_hh: &Self, relu: bool) -> Self {
        let sum = self.with_hidden(hidden, weight_hh, bias_hh);
        if relu { sum.relu() } else { sum.tanh() }
    }

    /// `torch.nn.LSTMCell`: the next hidden and cell state `[N, H]`. `self` is `[N, 4 H]`: input, forget, cell,
    /// output gate; `state` is hidden and cell state, weight `[4 H, H]`, bias `[4 H]`.
    ///
    /// # Panics
    /// If the extents do not fit.
    #[track_caller]
    #[must_use]
    pub fn lstm_cell(&self, state: Option<(&Self, &Self)>, weight_hh: &Self, bias_hh: &Self) -> (Self, Self) {
        let sum = self.with_hidden(state.map(|s| s.0), weight_hh, bias_hh);
        let [input, forget, cell, output] = sum.gates::<4>();
        let added = input.sigmoid() * &cell.tanh();
        let cell = match state {
            Some((_, c)) => forget.sigmoid() * c + added,
            None => added,
        };
        (output.sigmoid() * &cell.tanh(), cell)
    }

    /// `torch.nn.GRUCell`: the next hidden state `[N, H]`. `self` is `[N, 3 H]`: reset, update, new gate; weight `[3
    /// H, H]`, bias `[3 H]`. The reset gate acts on `h W_hn^T + b_hn`, as in cuDNN.
    ///
    /// # Panics
    /// If the extents do not fit.
    #[track_caller]
    #[must_use]
    pub fn gru_cell(&self, hidden: Option<&Self>, weight_hh: &Self, bias_hh: &Self) -> Self {
        let [reset, update, new] = self.gates::<3>();
        let rows = self.shape()[0];
        let own = match hidden {
            Some(h) => h.matmul(&weight_hh.t()) + bias_hh,
            None => bias_hh.broadcast_to(&[rows, bias_hh.numel()]),
        };
        let [own_reset, own_update, own_new] = own.gates::<3>();
        let update = (update + own_update).sigmoid();
        let new = (new + (reset + own_reset).sigmoid() * &own_new).tanh();
        let kept = &new - &update * &new;
        match hidden {
            Some(h) => kept + update * h,
            None => kept,
        }
    }
}
