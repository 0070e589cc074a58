"""Present values of 10,000 policies: NumPy on one thread against the example program cash_value, by turns.

usage: policies.py [--rounds N] [--inner N] [--threads N] [--program PATH]

The program also makes the totals of every month, which the rival does not. The rival takes policies that begin in the
first month only, as the shipped ones do: all of them change their rates in the same months.
"""

import argparse
import csv
import functools
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "target" / "release" / "examples" / "cash_value"
DATA = ROOT / "examples" / "data" / "cash_value"
COLUMNS = ["Premiums", "Death", "Surrender", "Maturity", "Expenses", "Commissions", "Investment Income", "Change in AV",
           "Net Cashflow"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--inner", type=int, default=3, help="runs of which a round takes the fastest (default 3)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the program, besides 1")
    parser.add_argument("--program", type=pathlib.Path, default=PROGRAM)
    return parser.parse_args()


def columns(name):
    """The columns of a shipped table, as text."""
    with open(DATA / name, newline="") as file:
        header, *rows = csv.reader(file)
    return dict(zip(header, map(np.array, zip(*rows))))


class Tables:
    """The assumptions, of scenario 1."""

    def __init__(self):
        mortality = columns("mort_table.csv")
        ages = mortality["age"].astype(int)
        # By attained age and year of the policy; nobody dies at ages before the first one.
        yearly = np.zeros((ages[-1] + 1, 6))
        yearly[ages] = np.transpose([mortality[str(year)].astype(float) for year in range(6)])
        self.mortality = yearly
        self.last_age = ages[(yearly[ages] == 1).all(axis=1)][0]
        self.charges = {name: rates.astype(float) for name, rates in columns("surr_charge_table.csv").items()}
        self.products = columns("product_spec_table.csv")
        self.spot = columns("disc_rate_ann.csv")["zero_spot"].astype(float)
        scenarios = columns("std_norm_rand.csv")
        self.normals = scenarios["std_norm_rand"][scenarios["scen_id"] == "1"].astype(float)


class Portfolio:
    """The policies, an array for each property, with those of their products; those that last longest come first."""

    def __init__(self, tables):
        points, products = columns("model_points_10000.csv"), tables.products
        assert (points["duration_mth"] == "0").all(), "expected policies that begin in the first month"
        product = np.array([list(products["spec_id"]).index(name) for name in points["spec_id"]])
        last_years = tables.last_age - points["age_at_entry"].astype(int)
        years = np.where((products["is_wl"] == "True")[product], last_years, points["policy_term"].astype(int))
        self.order = np.argsort(-years, kind="stable")
        points = {name: values[self.order] for name, values in points.items()}
        self.product, self.years = product[self.order], years[self.order]
        self.age = points["age_at_entry"].astype(int)
        self.count = points["policy_count"].astype(float)
        self.assured = points["sum_assured"].astype(float)
        self.account = points["av_pp_init"].astype(float)
        premium = points["premium_pp"].astype(float)
        single = (products["premium_type"] == "SINGLE")[self.product]
        self.single, self.monthly = np.where(single, premium, 0.0), np.where(single, 0.0, premium)
        self.kept_of_premium = 1 - products["load_prem_rate"].astype(float)[self.product]
        none = np.zeros(len(tables.charges["duration"]))
        self.charges = np.array([tables.charges.get(name, none) for name in products["surr_charge_id"]])


def present_values(policies, tables):
    """The nine present values of each policy, a row for each column of the program's file."""
    months = np.arange(12 * policies.years[0] + 1)
    monthly_rate = (1 + tables.spot[months // 12]) ** (1 / 12) - 1
    discount = np.append((1 + monthly_rate) ** -months.astype(float), 0.0)
    expense = 500 / 12 * 1.01 ** (months / 12) * discount[:-1]
    growth = np.exp((0.02 - 0.5 * 0.03**2) / 12 + 0.03 * (1 / 12) ** 0.5 * tables.normals[months]) - 1
    mortality = 1 - (1 - tables.mortality) ** (1 / 12)

    lives = policies.count.copy()
    account = policies.account + policies.kept_of_premium * policies.single
    net_monthly = policies.kept_of_premium * policies.monthly
    sums, buffers = np.zeros((7, lives.size)), np.empty((4, lives.size))
    for year in range(policies.years[0] + 1):
        maturing = np.flatnonzero(policies.years == year)
        sums[6, maturing] = discount[12 * year] * account[maturing] * lives[maturing]
        lives[maturing] = 0
        there = np.flatnonzero(lives)
        if there.size == 0:
            break
        # What follows is about these first ones only, in place.
        first = slice(there[-1] + 1)
        alive, value, premium, assured = (of_all[first] for of_all in (lives, account, net_monthly, policies.assured))
        annuity, deaths, surrenders, expenses, income, change, _ = sums[:, first]
        dying, leaving, middle, work = buffers[:, first]
        death_rate = mortality[policies.age[first] + year, min(year, 5)]
        risk_rate = 1.1 * death_rate
        lapse_rate = 1 - (1 - max(0.1 - 0.02 * year, 0.02)) ** (1 / 12)
        kept = 1 - policies.charges[policies.product[first], min(year, policies.charges.shape[1] - 1)]
        for month in range(12 * year, 12 * year + 12):
            now, grows = discount[month], growth[month]
            annuity += np.multiply(alive, now, out=work)
            expenses += np.multiply(alive, expense[month], out=work)
            np.multiply(alive, death_rate, out=dying)
            alive -= dying
            np.multiply(alive, lapse_rate, out=leaving)
            alive -= leaving
            # The account: premium, charge for the risk, fee, and then the return, half of it for those who leave.
            value += premium
            np.subtract(assured, value, out=work)
            np.maximum(work, 0, out=work)
            work *= risk_rate
            value *= 1 - 0.01 / 12
            value -= work
            np.add(dying, leaving, out=work)
            work *= 0.5
            work += alive
            work *= value
            work *= grows * now
            income += work
            np.multiply(value, 1 + 0.5 * grows, out=middle)
            value *= 1 + grows
            np.maximum(assured, middle, out=work)
            work *= dying
            work *= now
            deaths += work
            middle *= leaving
            middle *= kept
            middle *= now
            surrenders += middle
            # Changes of accounts, summed by parts: what is there after a month by the fall of the discount factor.
            if now != discount[month + 1]:
                np.multiply(value, alive, out=work)
                work *= now - discount[month + 1]
                change += work
    annuity, deaths, surrenders, expenses, income, change, maturities = sums
    premiums = policies.single * policies.count + policies.monthly * annuity
    expenses += 5000 * policies.count
    net = premiums + income - deaths - surrenders - maturities - expenses - 0.05 * premiums - change
    return np.array([premiums, deaths, surrenders, maturities, expenses, 0.05 * premiums, income, change, net])


def read(path):
    """Present values from a file, a row for each of the nine columns."""
    table = np.genfromtxt(path, delimiter=",", names=True, deletechars="", replace_space=" ")
    return np.array([table[name] for name in COLUMNS])


def agree(found, expected):
    """Whether values are the same but for 1e-9: of the figure, or of a thousandth of the flows that it is made of."""
    flows = sum(np.abs(expected[COLUMNS.index(name)])
                for name in ["Premiums", "Death", "Surrender", "Maturity", "Investment Income"])
    return (np.abs(found - expected) <= 1e-9 * np.maximum(np.abs(expected), 1e-3 * flows)).all()


def ours(options, threads, folder):
    """Seconds of the program's kernel, the least of its runs, and its present values."""
    out = folder / "values.csv"
    command = [options.program, "--workers", str(threads), "--repeat", str(options.inner), "--out", out]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    line = next(line for line in report.splitlines() if line.startswith("kernel seconds"))
    return float(line.rsplit(" ", 1)[1]), read(out)


def theirs(options, portfolio, tables):
    """Seconds of NumPy, the least of its runs, and its present values."""
    least = np.inf
    for _ in range(options.inner):
        began = time.perf_counter()
        values = present_values(portfolio, tables)
        least = min(least, time.perf_counter() - began)
    return least, values[:, np.argsort(portfolio.order)]


def main():
    options = arguments()
    if not options.program.exists():
        sys.exit(f"{options.program}: not there; build it with: cargo build --release --example cash_value")
    tables = Tables()
    portfolio = Portfolio(tables)
    expected = read(DATA / "reference" / "mp10000_pv.csv.gz")
    rival = "NumPy, 1 thread"
    with tempfile.TemporaryDirectory() as folder:
        contenders = {
            f"scipar, {n} worker{'s' * (n > 1)}": functools.partial(ours, options, n, pathlib.Path(folder))
            for n in sorted({1, options.threads})
        }
        contenders[rival] = functools.partial(theirs, options, portfolio, tables)
        times = {who: [] for who in contenders}
        contenders[rival]()
        for _ in range(options.rounds):
            for who, run in contenders.items():
                seconds, values = run()
                times[who].append(seconds)
                assert agree(values, expected), f"{who}: answers differ"
    medians = {who: statistics.median(own) for who, own in times.items()}
    for who, seconds in medians.items():
        print(f"policies {who:<18} {seconds:.6f} s  (least {min(times[who]):.6f})")
    for who, seconds in list(medians.items())[:-1]:
        print(f"policies {who}: {medians[rival] / seconds:.2f} times as fast as {rival}")


main()
