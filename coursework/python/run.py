"""Calls the functions of exercises.py with the cases of a file, and writes what they return.

python3 run.py cases.json outputs.json [exercise ...]
"""

import importlib.util
import json
import pathlib
import sys
import traceback

import numpy as np


def load(path):
    """The student's module."""
    spec = importlib.util.spec_from_file_location("exercises", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["exercises"] = module
    spec.loader.exec_module(module)
    return module


def argument(value):
    """An array, or what it is."""
    if isinstance(value, dict):
        return np.array(value["data"], dtype=float).reshape(value["shape"])
    return value


def call(ex, function, args):
    """The outputs of a function, by name."""
    if "betas" in args:
        beta = np.concatenate([[0.0], args.pop("betas")])
        args["schedule"] = ex.Schedule(beta, 1 - beta, np.cumprod(1 - beta))
    if "w1" in args:
        args["net"] = ex.Net(*(args.pop(name) for name in ["w1", "b1", "e", "w2", "b2"]))
    if "times" in args:
        args["times"] = np.array(args["times"], dtype=int)
    if function == "ancestral":
        a, b = args.pop("a"), args.pop("b")

        def eps_theta(x, t):
            if not 1 <= t < len(a):
                raise ValueError(f"eps_theta was asked about t = {t}, but t runs over 1..={len(a) - 1}")
            return a[t] * x + b[t]

        args["eps_theta"] = eps_theta
    if function == "train":
        x, seed = args.pop("x"), args.pop("seed")
        eps_theta = ex.train(rng=np.random.default_rng(seed), **args)
        return {"the loss": np.stack([eps_theta(x[t - 1], t) for t in range(1, len(x) + 1)])}
    result = getattr(ex, function)(**args)
    if function == "linear":
        return {"beta": result.beta, "alpha": result.alpha, "alpha_bar": result.alpha_bar}
    if function == "backward":
        loss, net = result
        return {"loss": loss, "w1": net.w1, "b1": net.b1, "e": net.e, "w2": net.w2, "b2": net.b2}
    return {NAMES[function]: result}


# What the one result of a function is called.
NAMES = {
    "q_step": "x_t",
    "q_sample": "x_t",
    "posterior_variance": "beta_tilde",
    "posterior_mean": "mu_tilde",
    "x0_from_eps": "x_0",
    "eps_from_x0": "eps",
    "v_target": "v",
    "antithetic_times": "times",
    "l_simple": "loss",
    "eps_weight": "w",
    "ancestral_step": "x_prev",
    "ancestral": "x_0",
    "ddim_step": "x_s",
    "prior_bits": "bits",
    "reverse_step_bits": "bits",
    "forward": "eps_theta",
    "score": "score",
    "optimal_eps": "eps",
}


def written(name, value):
    """JSON has no NaN and no infinity: they are written as words."""
    array = np.asarray(value, dtype=float)
    data = [x if np.isfinite(x) else str(x) for x in array.ravel().tolist()]
    return {"name": name, "shape": list(array.shape), "data": data}


def outcome(ex, path, case):
    """What became of a case."""
    args = {name: argument(value) for name, value in case["args"].items()}
    try:
        outputs = call(ex, case["function"], args)
        return {"outputs": [written(name, value) for name, value in outputs.items()]}
    except Exception as error:  # whatever the student's code raises
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = frames[-1].lineno if frames else 0
        if isinstance(error, NotImplementedError):
            # The innermost frame is the stub: of this function, or of another one that it calls.
            stub = frames[-1].name if frames else case["function"]
            return {"panic": "not yet implemented", "file": stub, "line": line}
        return {"panic": f"{type(error).__name__}: {error}", "file": path.name, "line": line}


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__.strip())
    path = pathlib.Path(__file__).resolve().parent / "exercises.py"
    cases = json.loads(pathlib.Path(sys.argv[1]).read_text())
    wanted = sys.argv[3:] or list(cases["exercises"])
    unknown = [number for number in wanted if number not in cases["exercises"]]
    if unknown:
        sys.exit(f"there is no exercise {unknown[0]}: give numbers from 1 to {len(cases['exercises'])}")
    ex = load(path)
    with np.errstate(all="ignore"):
        done = {number: [outcome(ex, path, case) for case in cases["exercises"][number]] for number in wanted}
    pathlib.Path(sys.argv[2]).write_text(json.dumps({"seed": cases["seed"], "exercises": done}) + "\n")


if __name__ == "__main__":
    main()
