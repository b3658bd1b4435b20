//! A network whose prediction is any formula, to test what is around a network.

use literate_diffusion::Result;
use literate_diffusion::torch::random::{Stream, drawn};
use literate_diffusion::torch::tch::{Device, Kind, Tensor};
use literate_diffusion::torch::unet::{ImageNetwork, TimeChannelNet};
use literate_diffusion::torch::weights::Parameters;

type Formula = Box<dyn Fn(&Tensor, &Tensor, Option<&Tensor>) -> Tensor>;

/// Its prediction is the formula of x, the index t − 1 and the classes. Its parameters are there, and do nothing.
pub struct Oracle {
    formula: Formula,
    classes: usize,
    parameters: TimeChannelNet,
}

pub fn oracle(kind: Kind, formula: impl Fn(&Tensor, &Tensor, Option<&Tensor>) -> Tensor + 'static) -> Oracle {
    oracle_on(Device::Cpu, kind, formula)
}

pub fn oracle_on(
    device: Device,
    kind: Kind,
    formula: impl Fn(&Tensor, &Tensor, Option<&Tensor>) -> Tensor + 'static,
) -> Oracle {
    // Drawn in their turn: libtorch has one generator, and another test may be drawing.
    let parameters = drawn(0, Stream::Weights, 0, || TimeChannelNet::new(1, device, kind)).unwrap();
    Oracle { formula: Box::new(formula), classes: 0, parameters }
}

impl Oracle {
    pub fn with_classes(self, classes: usize) -> Self {
        Self { classes, ..self }
    }
}

impl ImageNetwork for Oracle {
    fn forward(&self, x: &Tensor, index: &Tensor) -> Result<Tensor> {
        self.forward_t(x, index, None, false)
    }

    fn forward_t(&self, x: &Tensor, index: &Tensor, classes: Option<&Tensor>, _train: bool) -> Result<Tensor> {
        let nothing = self.parameters().tensors()[0].sum(x.kind()) * 0.0;
        Ok((self.formula)(x, index, classes) + nothing)
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn parameters(&self) -> &Parameters {
        self.parameters.parameters()
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        self.parameters.parameters_mut()
    }
}
