//! The verdict on an exercise: what came back, compared with the reference and with the mistakes that people make.

use std::fmt::Write;

use literate_diffusion::Result;
use ndarray::ArrayD;
use serde::Serialize;
use serde_json::Value;

use crate::case::{Case, Outputs, outputs_from_json, short};
use crate::exercises::{Exercise, Function, Mistake, Tolerance};

/// What became of one case.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The function returned.
    Returned(Outputs),
    /// It panicked.
    Panicked { message: String, file: String, line: u32 },
    /// It did not end within so many seconds of computing.
    Stopped { seconds: f64 },
    /// The process ended in the middle of it.
    Died { how: String },
    /// The process had ended before.
    NotReached,
}

impl Outcome {
    /// What the runner wrote, or `run.py`.
    pub fn read(value: &Value) -> Self {
        if let Some(message) = value["panic"].as_str() {
            let file = value["file"].as_str().unwrap_or_default().to_owned();
            let line = value["line"].as_u64().and_then(|line| u32::try_from(line).ok()).unwrap_or_default();
            return Self::Panicked { message: message.to_owned(), file, line };
        }
        outputs_from_json(&value["outputs"]).map_or_else(|how| Self::Died { how }, Self::Returned)
    }
}

/// The state of an exercise.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Finding {
    Right,
    NotStarted,
    /// Some functions are right, and this one is still a stub.
    Unfinished {
        function: String,
    },
    /// It calls another exercise, which is still a stub.
    Waits {
        file: String,
    },
    DoesNotCompile {
        message: String,
    },
    Panicked {
        function: String,
        message: String,
        place: String,
        example: String,
    },
    Stopped {
        function: String,
        seconds: f64,
        example: String,
    },
    Died {
        function: String,
        how: String,
        example: String,
    },
    WrongShape {
        function: String,
        output: String,
        expected: Vec<usize>,
        given: Vec<usize>,
        example: String,
        diagnosis: Option<Diagnosis>,
    },
    NotFinite {
        function: String,
        output: String,
        expected: String,
        given: String,
        example: String,
        diagnosis: Option<Diagnosis>,
    },
    Wrong {
        function: String,
        output: String,
        expected: String,
        given: String,
        example: String,
        diagnosis: Option<Diagnosis>,
    },
}

/// The mistake that the numbers look like.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diagnosis {
    pub name: String,
    pub sentence: String,
}

impl Finding {
    pub fn right(&self) -> bool {
        *self == Self::Right
    }

    /// The mistake that it looks like, where there is one.
    pub fn diagnosis(&self) -> Option<&Diagnosis> {
        match self {
            Self::WrongShape { diagnosis, .. } | Self::NotFinite { diagnosis, .. } | Self::Wrong { diagnosis, .. } => {
                diagnosis.as_ref()
            }
            _ => None,
        }
    }

    /// One word or two, for the table.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::NotStarted => "not started",
            Self::Unfinished { .. } => "half done",
            Self::Waits { .. } => "waits",
            Self::DoesNotCompile { .. } => "no compile",
            Self::Panicked { .. } => "panics",
            Self::Stopped { .. } => "no end",
            Self::Died { .. } => "dies",
            Self::WrongShape { .. } => "wrong shape",
            Self::NotFinite { .. } => "not finite",
            Self::Wrong { .. } => "wrong",
        }
    }

    /// One sentence: what to do next.
    pub fn sentence(&self) -> String {
        match self {
            Self::Right => String::new(),
            Self::NotStarted => "it is still a stub".to_owned(),
            Self::Unfinished { function } => format!("write `{function}` too"),
            Self::Waits { file } => format!("it calls {file}, which is not done"),
            Self::DoesNotCompile { message } => message.lines().next().unwrap_or("it does not compile").to_owned(),
            Self::Panicked { function, message, place, .. } => {
                format!("`{function}` panics at {place}: {}", message.lines().next().unwrap_or_default())
            }
            Self::Stopped { function, seconds, .. } => {
                format!(
                    "`{function}` did not end within {seconds} seconds of computing, or waits: is there an endless loop?"
                )
            }
            Self::Died { function, how, .. } => format!("`{function}` ended the whole program ({how})"),
            Self::WrongShape { diagnosis: Some(diagnosis), .. }
            | Self::NotFinite { diagnosis: Some(diagnosis), .. }
            | Self::Wrong { diagnosis: Some(diagnosis), .. } => diagnosis.sentence.clone(),
            Self::WrongShape { output, expected, given, .. } => {
                format!("{output} has the shape {given:?}, and should have {expected:?}")
            }
            Self::NotFinite { output, given, .. } => format!("{output} is {given}"),
            Self::Wrong { function, example, given, .. } if example.is_empty() => {
                format!("`{function}` comes to a loss that is {given}")
            }
            Self::Wrong { function, .. } => format!("`{function}` gives a wrong number, by no mistake known here"),
        }
    }

    /// All there is to say.
    pub fn text(&self) -> String {
        let mut text = self.sentence();
        match self {
            Self::DoesNotCompile { message } => text = message.clone(),
            Self::Panicked { function, example, message, place } => {
                text = format!("`{function}` panics at {place}:\n    {message}\n  on\n{example}");
            }
            Self::Stopped { example, .. } | Self::Died { example, .. } => {
                let _ = write!(text, "\n  on\n{example}");
            }
            Self::WrongShape { function, output, expected, given, example, .. } => {
                let _ = write!(
                    text,
                    "\n  `{function}` on\n{example}  {output} should have the shape {expected:?}\n  {output} has it {given:?}\n"
                );
            }
            Self::NotFinite { output, expected, given, example, .. }
            | Self::Wrong { output, expected, given, example, .. }
                if example.is_empty() =>
            {
                let _ = write!(text, "\n  {output}, expected: {expected}\n  {output}, given:    {given}\n");
            }
            Self::NotFinite { function, output, expected, given, example, .. }
            | Self::Wrong { function, output, expected, given, example, .. } => {
                let _ = write!(
                    text,
                    "\n  `{function}` on\n{example}  {output}, expected: {expected}\n  {output}, given:    {given}\n"
                );
            }
            _ => {}
        }
        text
    }
}

/// Judges an exercise: `outcomes` are those of its cases.
pub fn judge(exercise: &Exercise, cases: &[Case], outcomes: &[Outcome]) -> Result<Finding> {
    let mut findings = Vec::new();
    for function in &exercise.functions {
        let of_this = |(case, _): &(&Case, &Outcome)| case.function == function.name;
        let pairs: Vec<_> = cases.iter().zip(outcomes).filter(of_this).collect();
        findings.push(judge_function(function, &pairs)?);
    }
    let stub = |finding: &Finding| *finding == Finding::NotStarted;
    if findings.iter().all(stub) {
        return Ok(Finding::NotStarted);
    }
    if let Some(finding) = findings.iter().find(|finding| !stub(finding) && !finding.right()) {
        return Ok(finding.clone());
    }
    let unfinished = exercise.functions.iter().zip(&findings).find(|(_, finding)| stub(finding));
    Ok(unfinished.map_or(Finding::Right, |(function, _)| Finding::Unfinished { function: function.name.to_owned() }))
}

fn judge_function(function: &Function, pairs: &[(&Case, &Outcome)]) -> Result<Finding> {
    let stub = |outcome: &Outcome| matches!(outcome, Outcome::Panicked { message, .. } if is_todo(message));
    let here = |outcome: &Outcome| matches!(outcome, Outcome::Panicked { file, .. } if file.contains(function.file));
    if pairs.iter().all(|(_, outcome)| stub(outcome) && here(outcome)) {
        return Ok(Finding::NotStarted);
    }
    let name = function.name.to_owned();
    // What did not even return comes before what returned wrong numbers.
    for (case, outcome) in pairs {
        let (function, example) = (name.clone(), case.shown());
        match outcome {
            Outcome::Panicked { file, .. } if stub(outcome) && !here(outcome) => {
                return Ok(Finding::Waits { file: file.clone() });
            }
            Outcome::Panicked { message, file, line } => {
                let (message, place) = (message.clone(), format!("{file}:{line}"));
                return Ok(Finding::Panicked { function, message, place, example });
            }
            Outcome::Stopped { seconds } => return Ok(Finding::Stopped { function, seconds: *seconds, example }),
            Outcome::Died { how } => return Ok(Finding::Died { function, how: how.clone(), example }),
            Outcome::Returned(_) | Outcome::NotReached => {}
        }
    }
    let mut returned = Vec::new();
    for (case, outcome) in pairs {
        if let Outcome::Returned(given) = outcome {
            returned.push(Returned { case, given, expected: (function.expected)(case)? });
        }
    }
    let Some(first) = returned.iter().find(|returned| !returned.agrees(function.tolerance)) else {
        let all = returned.len() == pairs.len();
        let how = "without a word".to_owned();
        return Ok(if all { Finding::Right } else { Finding::Died { function: name, how, example: String::new() } });
    };
    let diagnosis = diagnose(function, &returned)?;
    Ok(first.finding(name, function.tolerance, diagnosis))
}

fn is_todo(message: &str) -> bool {
    message.starts_with("not yet implemented")
}

/// A case whose function returned.
struct Returned<'a> {
    case: &'a Case,
    given: &'a Outputs,
    expected: Outputs,
}

impl Returned<'_> {
    fn agrees(&self, tolerance: Tolerance) -> bool {
        same(self.given, &self.expected, tolerance)
    }

    /// What is wrong with it. Call it only where it does not agree.
    fn finding(&self, function: String, tolerance: Tolerance, diagnosis: Option<Diagnosis>) -> Finding {
        let example = self.case.shown();
        let pairs = self.expected.iter().zip(self.given);
        let off = |(expected, given): &(&crate::case::Output, &crate::case::Output)| {
            !close(&given.array, &expected.array, tolerance)
        };
        let Some((expected, given)) = pairs.into_iter().find(off) else {
            let (expected, given) = (vec![self.expected.len()], vec![self.given.len()]);
            let output = "the list of results".to_owned();
            return Finding::WrongShape { function, output, expected, given, example, diagnosis };
        };
        let output = expected.name.clone();
        if expected.array.shape() != given.array.shape() {
            let (expected, given) = (expected.array.shape().to_vec(), given.array.shape().to_vec());
            return Finding::WrongShape { function, output, expected, given, example, diagnosis };
        }
        if let Tolerance::MeanSquare(bound) = tolerance {
            let distance = mean_square(&given.array, &expected.array);
            let finite = distance.is_finite();
            let expected = format!("at most {bound} above the Bayes floor");
            let given = format!("{} above the Bayes floor", short(distance));
            // Thousands of numbers are no example.
            let example = String::new();
            return if finite {
                Finding::Wrong { function, output, expected, given, example, diagnosis }
            } else {
                Finding::NotFinite {
                    function,
                    output,
                    expected,
                    given: "not a finite number".into(),
                    example,
                    diagnosis,
                }
            };
        }
        let bound = exact_bound(&expected.array);
        let numbers = expected.array.indexed_iter().zip(&given.array);
        let off = |((_, e), g): &((ndarray::IxDyn, &f64), &f64)| !exact(**g, **e, bound);
        let worst = numbers.clone().find(|pair| !pair.1.is_finite() && off(pair));
        let first = worst.or_else(|| numbers.clone().find(off));
        let Some(((place, &e), &g)) = first else {
            return Finding::Wrong {
                function,
                output,
                expected: String::new(),
                given: String::new(),
                example,
                diagnosis,
            };
        };
        let place: Vec<String> = ndarray::Dimension::slice(&place).iter().map(usize::to_string).collect();
        let output = if place.is_empty() { output } else { format!("{output}[{}]", place.join(", ")) };
        let (expected, shown) = (short(e), short(g));
        if g.is_finite() {
            // Where seven digits do not tell the two apart, show them all.
            let (expected, given) = if expected == shown { (e.to_string(), g.to_string()) } else { (expected, shown) };
            Finding::Wrong { function, output, expected, given, example, diagnosis }
        } else {
            Finding::NotFinite { function, output, expected, given: shown, example, diagnosis }
        }
    }
}

/// The first mistake whose numbers are the student's in every case; or else in every case that went wrong.
fn diagnose(function: &Function, returned: &[Returned]) -> Result<Option<Diagnosis>> {
    if let (Tolerance::MeanSquare(bound), [one]) = (function.tolerance, returned) {
        return nearest(function, one, bound);
    }
    let failing: Vec<&Returned> = returned.iter().filter(|r| !r.agrees(function.tolerance)).collect();
    for cases in [returned.iter().collect(), failing.clone()] {
        for mistake in &function.mistakes {
            if looks_like(mistake, &cases, function.tolerance)? {
                return Ok(Some(Diagnosis { name: mistake.name.to_owned(), sentence: mistake.sentence.to_owned() }));
            }
        }
    }
    let single = |r: &&Returned| r.given.len() == r.expected.len() && r.given.iter().zip(&r.expected).all(nearly);
    if failing.iter().all(single) {
        let sentence = "Your numbers are right to five digits only: compute in double precision (f64, float64).";
        return Ok(Some(Diagnosis { name: "single precision".into(), sentence: sentence.into() }));
    }
    Ok(None)
}

/// Where many numbers are only nearly right: the mistake that is nearest, if it is near enough.
fn nearest(function: &Function, returned: &Returned, bound: f64) -> Result<Option<Diagnosis>> {
    let ([given], [expected]) = (returned.given.as_slice(), returned.expected.as_slice()) else { return Ok(None) };
    if given.array.shape() != expected.array.shape() {
        return Ok(None);
    }
    let mut nearest: Option<(f64, &Mistake)> = None;
    for mistake in &function.mistakes {
        for wrong in (mistake.outputs)(returned.case)? {
            let distance = mean_square(&given.array, &wrong.array);
            if distance <= bound && nearest.is_none_or(|(least, _)| distance < least) {
                nearest = Some((distance, mistake));
            }
        }
    }
    if let Some((_, mistake)) = nearest {
        return Ok(Some(Diagnosis { name: mistake.name.to_owned(), sentence: mistake.sentence.to_owned() }));
    }
    let nothing = ArrayD::zeros(expected.array.raw_dim());
    if mean_square(&given.array, &expected.array) > mean_square(&nothing, &expected.array) {
        let sentence = "Your network is worse than one that always says 0: look at the sign of the update, and at the \
                        learning rate.";
        return Ok(Some(Diagnosis { name: "worse than 0".into(), sentence: sentence.into() }));
    }
    Ok(None)
}

fn looks_like(mistake: &Mistake, cases: &[&Returned], tolerance: Tolerance) -> Result<bool> {
    for returned in cases {
        if !same(returned.given, &(mistake.outputs)(returned.case)?, tolerance) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether two lists of outputs agree.
fn same(given: &Outputs, expected: &Outputs, tolerance: Tolerance) -> bool {
    given.len() == expected.len()
        && given.iter().zip(expected).all(|(given, expected)| close(&given.array, &expected.array, tolerance))
}

fn close(given: &ArrayD<f64>, expected: &ArrayD<f64>, tolerance: Tolerance) -> bool {
    if given.shape() != expected.shape() {
        return false;
    }
    match tolerance {
        Tolerance::MeanSquare(bound) => mean_square(given, expected) <= bound,
        Tolerance::Exact => {
            let bound = exact_bound(expected);
            given.iter().zip(expected).all(|(&given, &expected)| exact(given, expected, bound))
        }
    }
}

/// Two that are not finite agree where they are the same: a mistake may give NaN.
fn exact(given: f64, expected: f64, bound: f64) -> bool {
    if !expected.is_finite() {
        return given == expected || (given.is_nan() && expected.is_nan());
    }
    (given - expected).abs() <= 1e-7 * expected.abs() + bound
}

/// What rounding may do where a number is the small difference of large ones.
fn exact_bound(expected: &ArrayD<f64>) -> f64 {
    let finite = expected.iter().filter(|x| x.is_finite());
    1e-10 * finite.fold(0.0, |largest: f64, x| largest.max(x.abs())).max(1e-3)
}

fn mean_square(given: &ArrayD<f64>, expected: &ArrayD<f64>) -> f64 {
    let squares: f64 = given.iter().zip(expected).map(|(given, expected)| (given - expected).powi(2)).sum();
    squares / expected.len() as f64
}

/// Right to five digits.
fn nearly((given, expected): (&crate::case::Output, &crate::case::Output)) -> bool {
    let largest = expected.array.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
    given.array.shape() == expected.array.shape()
        && given.array.iter().zip(&expected.array).all(|(given, expected)| (given - expected).abs() <= 1e-5 * largest)
}
