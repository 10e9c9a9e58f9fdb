//! Recurrent cells: alone, from nothing, and unrolled.

use super::cases;
use crate::real;

cases! {
    rnn_cell [real(&[5, 7]), real(&[5, 7]), real(&[7, 7]), real(&[7])] |x| x[0].rnn_cell(Some(&x[1]), &x[2], &x[3], false);
    rnn_cell_relu [real(&[5, 7]), real(&[5, 7]), real(&[7, 7]), real(&[7])] |x| x[0].rnn_cell(Some(&x[1]), &x[2], &x[3], true);
    rnn_cell_from_nothing [real(&[5, 7]), real(&[7, 7]), real(&[7])] |x| x[0].rnn_cell(None, &x[1], &x[2], false);
    lstm_cell [real(&[3, 20]), real(&[3, 5]), real(&[3, 5]), real(&[20, 5]), real(&[20])] |x| {
        let (h, c) = x[0].lstm_cell(Some((&x[1], &x[2])), &x[3], &x[4]);
        h + c * 0.5
    };
    lstm_cell_from_nothing [real(&[3, 20]), real(&[20, 5]), real(&[20])] |x| {
        let (h, c) = x[0].lstm_cell(None, &x[1], &x[2]);
        h + c * 0.5
    };
    gru_cell [real(&[3, 15]), real(&[3, 5]), real(&[15, 5]), real(&[15])] |x| x[0].gru_cell(Some(&x[1]), &x[2], &x[3]);
    gru_cell_from_nothing [real(&[3, 15]), real(&[15, 5]), real(&[15])] |x| x[0].gru_cell(None, &x[1], &x[2]);
    lstm_unrolled [real(&[2, 6, 12]), real(&[12, 3]), real(&[12])] |x| {
        let (mut state, mut last) = (None, None);
        for gates in x[0].unbind(1) {
            let before = state.as_ref().map(|(h, c): &(wgrad_graph::Tensor, wgrad_graph::Tensor)| (h, c));
            let next = gates.lstm_cell(before, &x[1], &x[2]);
            last = Some(next.0.clone());
            state = Some(next);
        }
        last.expect("six steps")
    };
}
