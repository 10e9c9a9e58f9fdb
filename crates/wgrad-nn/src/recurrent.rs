//! Recurrent layers: `torch.nn.RNN`, `LSTM` and `GRU` with `batch_first=True`, unrolled over the steps of the input.

use crate::{Init, Net};
use wgrad_graph::Tensor;

/// Kind of cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecurrentKind {
    /// `torch.nn.RNN` with tanh.
    RnnTanh,
    /// `torch.nn.RNN` with ReLU.
    RnnRelu,
    /// `torch.nn.LSTM`.
    Lstm,
    /// `torch.nn.GRU`.
    Gru,
}

impl RecurrentKind {
    /// Gates a cell has: how many times the hidden width its weights have rows.
    pub fn gates(self) -> usize {
        match self {
            Self::RnnTanh | Self::RnnRelu => 1,
            Self::Lstm => 4,
            Self::Gru => 3,
        }
    }
}

/// A recurrent layer's free choices.
#[derive(Clone, Copy, Debug)]
pub struct Recurrent {
    /// The cell.
    pub kind: RecurrentKind,
    /// Width of the hidden state.
    pub hidden: usize,
    /// Layers, each reading the one before.
    pub layers: usize,
    /// Adds a second cell per layer, reading the steps from the last to the first.
    pub bidirectional: bool,
    /// Dropout between layers.
    pub dropout: f64,
}

impl Recurrent {
    /// One direction, no dropout.
    pub fn new(kind: RecurrentKind, hidden: usize, layers: usize) -> Self {
        Self { kind, hidden, layers, bidirectional: false, dropout: 0.0 }
    }
}

/// The state of one cell: of one layer in one direction.
#[derive(Clone, Debug)]
pub struct CellState {
    /// Hidden state `[N, hidden]`.
    pub hidden: Tensor,
    /// Cell state `[N, hidden]`, an LSTM's alone.
    pub cell: Option<Tensor>,
}

/// Results of a recurrent layer.
pub struct Sequence {
    /// The last layer's hidden states `[N, T, hidden]`, or `[N, T, 2 * hidden]` with both directions side by side.
    pub y: Tensor,
    /// The states after the last step, by layer, forward before backward.
    pub last: Vec<CellState>,
}

/// One cell's weights, as tensors of the graph.
struct Cell {
    kind: RecurrentKind,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor,
    bias_hh: Tensor,
}

impl Cell {
    #[track_caller]
    fn step(&self, gates: &Tensor, state: Option<&CellState>) -> CellState {
        let hidden = state.map(|s| &s.hidden);
        let (w, b) = (&self.weight_hh, &self.bias_hh);
        let only = |hidden| CellState { hidden, cell: None };
        match self.kind {
            RecurrentKind::RnnTanh => only(gates.rnn_cell(hidden, w, b, false)),
            RecurrentKind::RnnRelu => only(gates.rnn_cell(hidden, w, b, true)),
            RecurrentKind::Gru => only(gates.gru_cell(hidden, w, b)),
            RecurrentKind::Lstm => {
                let before = state.and_then(|s| s.cell.as_ref().map(|c| (&s.hidden, c)));
                let (hidden, cell) = gates.lstm_cell(before, w, b);
                CellState { hidden, cell: Some(cell) }
            }
        }
    }

    /// The states over `x` `[N, T, D]`, in the order of its steps.
    #[track_caller]
    fn run(&self, x: &Tensor, start: Option<CellState>, backward: bool) -> (Vec<Tensor>, CellState) {
        let mut gates = x.linear(&self.weight_ih, Some(&self.bias_ih)).unbind(1);
        if backward {
            gates.reverse();
        }
        let (mut state, mut all) = (start, Vec::with_capacity(gates.len()));
        for step in &gates {
            let next = self.step(step, state.as_ref());
            all.push(next.hidden.clone());
            state = Some(next);
        }
        if backward {
            all.reverse();
        }
        (all, state.expect("a sequence has a step"))
    }
}

impl Net {
    #[track_caller]
    fn cell(&self, name: &str, kind: RecurrentKind, suffix: &str, (input, hidden): (usize, usize)) -> Cell {
        let (rows, bound) = (kind.gates() * hidden, 1.0 / (hidden as f64).sqrt());
        let (full, init) = (|what: &str| format!("{name}.{what}_{suffix}"), Init::Uniform { bound });
        // No closure: a panic is to be at the caller's line.
        Cell {
            kind,
            weight_ih: self.weight(&full("weight_ih"), &[rows, input], init),
            weight_hh: self.weight(&full("weight_hh"), &[rows, hidden], init),
            bias_ih: self.weight(&full("bias_ih"), &[rows], init),
            bias_hh: self.weight(&full("bias_hh"), &[rows], init),
        }
    }

    /// `torch.nn.RNN`, `LSTM` or `GRU` (`batch_first=True`) over `[N, T, D]`, f32, from states of zeros. Parameters
    /// `name.weight_ih_l0`, `.weight_hh_l0`, `.bias_ih_l0`, `.bias_hh_l0`, with `_reverse` for the second
    /// direction.
    ///
    /// ```
    /// # use wgrad_nn::{Mode, Net, Recurrent, RecurrentKind};
    /// # use wgrad_types::Type;
    /// # let net = Net::new(Mode::Train);
    /// let x = net.input("x", Type::f32(&[4, 6, 10]));
    /// let lstm = net.recurrent("lstm", &x, Recurrent::new(RecurrentKind::Lstm, 20, 1));
    /// assert_eq!((lstm.y.shape(), lstm.last.len()), (vec![4, 6, 20], 1));
    /// ```
    ///
    /// # Panics
    /// If the name is taken, or the rank is not 3, or there are no steps or layers.
    #[track_caller]
    pub fn recurrent(&self, name: &str, x: &Tensor, layer: Recurrent) -> Sequence {
        self.recurrent_from(name, x, layer, &[])
    }

    /// [`Net::recurrent`] from given states, in the order of [`Sequence::last`]; zeros for missing ones.
    ///
    /// # Panics
    /// If the name is taken, or the rank is not 3, there are no steps or layers, or a state does not fit.
    #[track_caller]
    pub fn recurrent_from(&self, name: &str, x: &Tensor, layer: Recurrent, start: &[CellState]) -> Sequence {
        let shape = x.shape();
        assert!(
            shape.len() == 3 && shape[1] > 0 && layer.layers > 0,
            "recurrent: needs [N, T, D] with a step, got {}",
            x.ty()
        );
        let _scope = self.builder().scope(name);
        let (mut y, mut last) = (x.clone(), Vec::new());
        for l in 0..layer.layers {
            if l > 0 {
                y = self.dropout(&y, layer.dropout);
            }
            let width = y.shape()[2];
            let mut sides = Vec::new();
            for backward in [false, true].into_iter().take(1 + usize::from(layer.bidirectional)) {
                let suffix = if backward { format!("l{l}_reverse") } else { format!("l{l}") };
                let cell = self.cell(name, layer.kind, &suffix, (width, layer.hidden));
                let (all, state) = cell.run(&y, start.get(last.len()).cloned(), backward);
                sides.push(Tensor::stack(&all.iter().collect::<Vec<_>>(), 1));
                last.push(state);
            }
            y = Tensor::concat(&sides.iter().collect::<Vec<_>>(), 2);
        }
        Sequence { y, last }
    }
}
