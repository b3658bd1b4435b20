//! A case: what an exercise is called with. And an output: what comes back.

use literate_diffusion::{Result, Schedule, Step};
use ndarray::{ArrayD, IxDyn};
use serde_json::{Value, json};

/// An argument of the student's function.
#[derive(Debug, Clone, PartialEq)]
pub enum Arg {
    Int(usize),
    Number(f64),
    Ints(Vec<usize>),
    Array(ArrayD<f64>),
}

/// One call of a function of the student's.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    pub function: &'static str,
    /// By name, in the order in which they are shown.
    pub args: Vec<(&'static str, Arg)>,
    /// The reference's schedule, where there is an argument `betas`.
    schedule: Option<Schedule>,
}

/// A named array that the student's function returned; a number is an array of no dimension.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    pub name: String,
    pub array: ArrayD<f64>,
}

/// All that a function returned.
pub type Outputs = Vec<Output>;

/// The one output of a function.
pub fn one(name: &str, array: impl Into<ArrayD<f64>>) -> Outputs {
    vec![Output { name: name.to_owned(), array: array.into() }]
}

/// The one number that a function returned.
pub fn number(name: &str, value: f64) -> Outputs {
    one(name, ArrayD::from_elem(IxDyn(&[]), value))
}

/// A list of numbers.
pub fn list(name: &str, values: &[f64]) -> Output {
    let array = values.iter().copied().collect::<ndarray::Array1<f64>>();
    Output { name: name.to_owned(), array: array.into_dyn() }
}

impl Case {
    /// A case. The schedule is made of `betas`, where there is such an argument.
    pub fn new(function: &'static str, args: Vec<(&'static str, Arg)>) -> Result<Self> {
        let mut case = Self { function, args, schedule: None };
        if case.args.iter().any(|(name, _)| *name == "betas") {
            let betas: Vec<f64> = case.array("betas").iter().copied().collect();
            case.schedule = Some(Schedule::from_betas(&betas)?);
        }
        Ok(case)
    }

    fn arg(&self, wanted: &str) -> &Arg {
        let found = self.args.iter().find(|(name, _)| *name == wanted);
        &found.unwrap_or_else(|| panic!("the cases of {} have no argument {wanted}", self.function)).1
    }

    pub fn int(&self, name: &str) -> usize {
        match self.arg(name) {
            Arg::Int(value) => *value,
            other => panic!("{name} of {} is {other:?}, not an integer", self.function),
        }
    }

    pub fn number(&self, name: &str) -> f64 {
        match self.arg(name) {
            Arg::Number(value) => *value,
            other => panic!("{name} of {} is {other:?}, not a number", self.function),
        }
    }

    pub fn ints(&self, name: &str) -> &[usize] {
        match self.arg(name) {
            Arg::Ints(values) => values,
            other => panic!("{name} of {} is {other:?}, not integers", self.function),
        }
    }

    pub fn array(&self, name: &str) -> &ArrayD<f64> {
        match self.arg(name) {
            Arg::Array(array) => array,
            other => panic!("{name} of {} is {other:?}, not an array", self.function),
        }
    }

    pub fn schedule(&self) -> &Schedule {
        self.schedule.as_ref().unwrap_or_else(|| panic!("the cases of {} have no schedule", self.function))
    }

    /// The step at the argument `t`.
    pub fn step(&self) -> Step {
        self.at(self.int("t")).unwrap_or_else(|| panic!("the cases of {} have a time outside 1..=T", self.function))
    }

    /// The step at a time; none where there is none.
    pub fn at(&self, t: usize) -> Option<Step> {
        self.schedule().step(t).ok()
    }

    /// As the runner and the Python track read it.
    pub fn to_json(&self) -> Value {
        let value = |arg: &Arg| match arg {
            Arg::Int(value) => json!(value),
            Arg::Number(value) => json!(value),
            Arg::Ints(values) => json!(values),
            Arg::Array(array) => json!({ "shape": array.shape(), "data": array.iter().collect::<Vec<_>>() }),
        };
        let args: serde_json::Map<_, _> =
            self.args.iter().map(|(name, arg)| ((*name).to_owned(), value(arg))).collect();
        json!({ "function": self.function, "args": args })
    }

    /// As it is shown to the student: one argument a line.
    pub fn shown(&self) -> String {
        let line = |(name, arg): &(&str, Arg)| {
            let value = match arg {
                Arg::Int(value) => value.to_string(),
                Arg::Number(value) => short(*value),
                Arg::Ints(values) => format!("{values:?}"),
                Arg::Array(array) => shown(array),
            };
            format!("    {name} = {value}\n")
        };
        self.args.iter().map(line).collect()
    }
}

/// An array as it is shown: its numbers, or its shape where there are many.
pub fn shown(array: &ArrayD<f64>) -> String {
    if array.len() > 12 {
        let shape: Vec<String> = array.shape().iter().map(usize::to_string).collect();
        return format!("{} numbers", shape.join(" × "));
    }
    let Some((_, inner)) = array.shape().split_first() else { return array.iter().map(|&x| short(x)).collect() };
    let rows = array.outer_iter().map(|row| match inner {
        [] => row.iter().map(|&x| short(x)).collect(),
        _ => shown(&row.to_owned()),
    });
    format!("[{}]", rows.collect::<Vec<String>>().join(", "))
}

/// A number with at most seven digits.
pub fn short(x: f64) -> String {
    let exact = x.to_string();
    if exact.len() <= 8 || !x.is_finite() {
        return exact;
    }
    match x.abs() {
        1e-3..1e6 => format!("{x:.6}"),
        _ => format!("{x:.6e}"),
    }
}

/// What the runner, or a student's Python, wrote for a case.
pub fn outputs_from_json(value: &Value) -> std::result::Result<Outputs, String> {
    let list = value.as_array().ok_or("the outputs of a case are not a list")?;
    list.iter().map(output_from_json).collect()
}

fn output_from_json(value: &Value) -> std::result::Result<Output, String> {
    let name = value["name"].as_str().ok_or("an output has no name")?.to_owned();
    let shape = value["shape"].as_array().ok_or("an output has no shape")?;
    let shape: Option<Vec<usize>> = shape.iter().map(|n| n.as_u64().and_then(|n| usize::try_from(n).ok())).collect();
    let data = value["data"].as_array().ok_or("an output has no data")?;
    // JSON has no NaN and no infinity: they come as words.
    let number = |x: &Value| x.as_f64().or_else(|| x.as_str()?.parse().ok());
    let data: Option<Vec<f64>> = data.iter().map(number).collect();
    let (shape, data) = shape.zip(data).ok_or_else(|| format!("the output {name} is not made of numbers"))?;
    let array = ArrayD::from_shape_vec(IxDyn(&shape), data);
    Ok(Output { array: array.map_err(|error| format!("the output {name}: {error}"))?, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_shown_as_they_are_typed() {
        let array = |shape: &[usize], data: &[f64]| ArrayD::from_shape_vec(IxDyn(shape), data.to_vec()).unwrap();
        assert_eq!(shown(&array(&[2, 2], &[1.0, -0.5, 2.0, 1.0 / 3.0])), "[[1, -0.5], [2, 0.333333]]");
        assert_eq!(shown(&array(&[], &[1e-9])), "1.000000e-9");
        assert_eq!(shown(&ArrayD::zeros(IxDyn(&[20, 2]))), "20 × 2 numbers");
    }

    #[test]
    fn nan_and_infinity_come_as_words() {
        let outputs = outputs_from_json(&json!([{"name": "x", "shape": [3], "data": [1.5, "NaN", "-inf"]}])).unwrap();
        assert_eq!(outputs[0].array[0], 1.5);
        assert!(outputs[0].array[1].is_nan());
        assert_eq!(outputs[0].array[2], f64::NEG_INFINITY);
        assert!(outputs_from_json(&json!([{"name": "x", "shape": [2], "data": [1.5]}])).is_err());
    }
}
