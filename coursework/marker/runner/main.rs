//! Calls the student's functions with the cases of one exercise, and writes down what they return.
//!
//! Arguments: the file of the cases (JSON), the file for the outcomes (a line of JSON for each case), the first case.

use std::backtrace::Backtrace;
use std::error::Error;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use coursework::{
    Net, Rng, Schedule, ex01_schedule, ex02_one_step, ex03_closed_form, ex04_posterior_variance, ex05_posterior_mean,
    ex06_conversions, ex07_times, ex08_l_simple, ex09_weight, ex10_ancestral_step, ex11_loop, ex12_ddim, ex13_bound,
    ex14_backward, ex15_training, ex16_exact_score,
};
use ndarray::{Array1, Array2, ArrayD, ArrayView1, Axis, Dimension, IxDyn, arr0};
use serde_json::{Value, json};

/// What the last panic said, and where.
static PANIC: Mutex<Option<(String, String, u32)>> = Mutex::new(None);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [cases, outcomes, first] = arguments.as_slice() else { return Err("three arguments are needed".into()) };
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(cases)?)?;
    let mut outcomes = std::fs::OpenOptions::new().append(true).create(true).open(outcomes)?;
    std::panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let message = payload.downcast_ref::<String>().cloned();
        let message = message.or_else(|| payload.downcast_ref::<&str>().map(|&text| text.to_owned()));
        let place = info.location().map_or((String::new(), 0), |place| (place.file().to_owned(), place.line()));
        // Where a library panics, the student's line that called it says more.
        let place = if place.0.starts_with("src/") { place } else { students_line().unwrap_or(place) };
        if let Ok(mut panic) = PANIC.lock() {
            *panic = Some((message.unwrap_or_default(), place.0, place.1));
        }
    }));
    for case in cases.iter().skip(first.parse()?) {
        let args = Args(&case["args"]);
        let function = case["function"].as_str().unwrap_or_default();
        let line = match catch_unwind(AssertUnwindSafe(|| call(function, &args))) {
            Ok(outputs) => json!({ "outputs": outputs }),
            Err(_) => {
                let panic = PANIC.lock().ok().and_then(|mut panic| panic.take());
                let (message, file, line) = panic.unwrap_or_default();
                json!({ "panic": message, "file": file, "line": line })
            }
        };
        writeln!(outcomes, "{line}")?;
        outcomes.flush()?;
    }
    Ok(())
}

/// The innermost line of the student's on the stack.
fn students_line() -> Option<(String, u32)> {
    let stack = Backtrace::force_capture().to_string();
    let place = stack.lines().filter_map(|line| line.split_once(" at ./src/")).next()?.1;
    let mut parts = place.split(':');
    Some((format!("src/{}", parts.next()?), parts.next()?.parse().ok()?))
}

fn call(function: &str, a: &Args) -> Vec<Value> {
    let s = || a.schedule();
    let (x, number, t) = (|name| a.array2(name), |name| a.number(name), || a.int("t"));
    match function {
        "linear" => {
            let Schedule { beta, alpha, alpha_bar } =
                ex01_schedule::linear(a.int("timesteps"), number("beta_1"), number("beta_end"));
            vec![list("beta", beta), list("alpha", alpha), list("alpha_bar", alpha_bar)]
        }
        "q_step" => one("x_t", ex02_one_step::q_step(&x("x_prev"), &s(), t(), &x("eps"))),
        "q_sample" => one("x_t", ex03_closed_form::q_sample(&x("x0"), &s(), t(), &x("eps"))),
        "posterior_variance" => scalar("beta_tilde", ex04_posterior_variance::posterior_variance(&s(), t())),
        "posterior_mean" => one("mu_tilde", ex05_posterior_mean::posterior_mean(&x("x0"), &x("xt"), &s(), t())),
        "x0_from_eps" => one("x_0", ex06_conversions::x0_from_eps(&x("xt"), &s(), t(), &x("eps"))),
        "eps_from_x0" => one("eps", ex06_conversions::eps_from_x0(&x("x0"), &x("xt"), &s(), t())),
        "v_target" => one("v", ex06_conversions::v_target(&x("x0"), &s(), t(), &x("eps"))),
        "antithetic_times" => {
            let times =
                ex07_times::antithetic_times(&a.array("uniforms").into_raw_vec_and_offset().0, a.int("timesteps"));
            vec![list("times", times.into_iter().map(|t| t as f64).collect())]
        }
        "l_simple" => scalar("loss", ex08_l_simple::l_simple(&x("eps"), &x("eps_theta"))),
        "eps_weight" => scalar("w", ex09_weight::eps_weight(&s(), t(), number("variance"))),
        "ancestral_step" => one("x_prev", ex10_ancestral_step::ancestral_step(&x("xt"), &s(), t(), &x("eps"), &x("z"))),
        "ancestral" => {
            let z: Vec<Array2<f64>> = a.array("z").outer_iter().map(|z| two(z.to_owned())).collect();
            let (slope, offset, last) = (a.array("a"), a.array("b"), s().timesteps());
            let eps_theta = |x: &Array2<f64>, t: usize| {
                assert!((1..=last).contains(&t), "eps_theta was asked about t = {t}, but t runs over 1..={last}");
                slope[t] * x + offset[t]
            };
            one("x_0", ex11_loop::ancestral(&x("x_end"), &s(), &z, eps_theta))
        }
        "ddim_step" => {
            let step = ex12_ddim::ddim_step(&x("xt"), &s(), t(), a.int("s"), number("eta"), &x("eps"), &x("z"));
            one("x_s", step)
        }
        "prior_bits" => scalar("bits", ex13_bound::prior_bits(&x("x0"), &s())),
        "reverse_step_bits" => scalar("bits", ex13_bound::reverse_step_bits(&x("mu_tilde"), &x("mu_theta"), &s(), t())),
        "forward" => one("eps_theta", ex14_backward::forward(&a.net(), &x("x"), &a.ints("times"))),
        "backward" => {
            let (loss, net) = ex14_backward::backward(&a.net(), &x("x"), &a.ints("times"), &x("eps"));
            let mut outputs = scalar("loss", loss);
            outputs.extend([output("w1", &net.w1), output("b1", &net.b1), output("e", &net.e)]);
            outputs.extend([output("w2", &net.w2), output("b2", &net.b2)]);
            outputs
        }
        "train" => {
            let mut rng = Rng::new(a.int("seed") as u64);
            let eps_theta = ex15_training::train(&x("points"), &s(), &mut rng);
            let x = a.array("x");
            let mut all = ArrayD::zeros(x.raw_dim());
            for (i, x) in x.outer_iter().enumerate() {
                let predicted = eps_theta(&two(x.to_owned()), i + 1).into_dyn();
                if predicted.shape() != x.shape() {
                    return one("the loss", predicted);
                }
                all.index_axis_mut(Axis(0), i).assign(&predicted);
            }
            one("the loss", all)
        }
        "score" => one("score", ex16_exact_score::score(&x("xt"), &x("points"), &s(), t())),
        "optimal_eps" => one("eps", ex16_exact_score::optimal_eps(&x("xt"), &x("points"), &s(), t())),
        other => panic!("the runner knows no function {other}"),
    }
}

/// The arguments of a case, by name.
struct Args<'a>(&'a Value);

impl Args<'_> {
    fn int(&self, name: &str) -> usize {
        self.0[name].as_u64().unwrap_or_else(|| panic!("the case has no integer {name}")) as usize
    }

    fn number(&self, name: &str) -> f64 {
        self.0[name].as_f64().unwrap_or_else(|| panic!("the case has no number {name}"))
    }

    fn ints(&self, name: &str) -> Vec<usize> {
        serde_json::from_value(self.0[name].clone()).unwrap_or_else(|_| panic!("the case has no integers {name}"))
    }

    fn array(&self, name: &str) -> ArrayD<f64> {
        let part = |key: &str| self.0[name][key].clone();
        let shape: Vec<usize> = serde_json::from_value(part("shape")).unwrap_or_default();
        let data: Vec<f64> = serde_json::from_value(part("data")).unwrap_or_default();
        ArrayD::from_shape_vec(IxDyn(&shape), data).unwrap_or_else(|_| panic!("the case has no array {name}"))
    }

    fn array2(&self, name: &str) -> Array2<f64> {
        two(self.array(name))
    }

    fn array1(&self, name: &str) -> Array1<f64> {
        self.array(name).into_iter().collect()
    }

    fn schedule(&self) -> Schedule {
        let (mut beta, mut alpha, mut alpha_bar) = (vec![0.0], vec![1.0], vec![1.0]);
        let mut product = 1.0;
        for b in self.array("betas") {
            product *= 1.0 - b;
            beta.push(b);
            alpha.push(1.0 - b);
            alpha_bar.push(product);
        }
        Schedule { beta, alpha, alpha_bar }
    }

    fn net(&self) -> Net {
        Net {
            w1: self.array2("w1"),
            b1: self.array1("b1"),
            e: self.array2("e"),
            w2: self.array2("w2"),
            b2: self.array1("b2"),
        }
    }
}

fn two(array: ArrayD<f64>) -> Array2<f64> {
    array.into_dimensionality().unwrap_or_else(|_| panic!("an array of the case should have two dimensions"))
}

fn one<D: Dimension>(name: &str, array: ndarray::Array<f64, D>) -> Vec<Value> {
    vec![output(name, &array)]
}

fn scalar(name: &str, value: f64) -> Vec<Value> {
    one(name, arr0(value))
}

fn list(name: &str, values: Vec<f64>) -> Value {
    output(name, &ArrayView1::from(&values).to_owned())
}

/// JSON has no NaN and no infinity: they are written as words.
fn output<D: Dimension>(name: &str, array: &ndarray::Array<f64, D>) -> Value {
    let number = |&x: &f64| if x.is_finite() { json!(x) } else { json!(x.to_string()) };
    json!({ "name": name, "shape": array.shape(), "data": array.iter().map(number).collect::<Vec<_>>() })
}
