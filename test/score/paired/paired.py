"""Writes paired.json: tests of paired differences by scipy and statsmodels, and their power.

    pip install numpy==2.* scipy==1.17.1 statsmodels==0.15.0 && python paired.py
"""
import json
import pathlib

import numpy as np
import scipy
import statsmodels
from scipy import integrate, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import ttost_paired

random = np.random.default_rng(0)


def case(n, shift, sd, margin):
    x = random.normal(0.7, 0.1, n).round(6)
    y = (x - random.normal(shift, sd, n)).round(6)
    t = stats.ttest_rel(x, y)
    p, (t1, p1, _), (t2, p2, _) = ttost_paired(x, y, -margin, margin)
    low, high = t.confidence_interval(0.95)
    narrow = t.confidence_interval(0.90)
    return dict(x=x.tolist(), y=y.tolist(), margin=margin, t=t.statistic, p=t.pvalue, interval95=[low, high],
                interval90=[narrow.low, narrow.high], tost=p, notInferior=p1, notSuperior=p2)


def interval_power(difference, sd, n, low, high, end):
    """Integral over the sampling distribution of s, up to its standard error end; low and high are functions of that error."""
    nu = n - 1
    error = sd / np.sqrt(n)

    def f(u):
        a, b = low(u * error), high(u * error)
        if a >= b:
            return 0.0
        inside = stats.norm.cdf((b - difference) / error) - stats.norm.cdf((a - difference) / error)
        return stats.chi.pdf(u * np.sqrt(nu), nu) * np.sqrt(nu) * inside

    return integrate.quad(f, 0, min(8, end / error), limit=500, epsabs=1e-14, epsrel=1e-12)[0]


def power(difference, sd, n, margin, alpha):
    t1 = stats.t.ppf(1 - alpha, n - 1)
    return dict(
        difference=difference, sd=sd, pairs=n, margin=margin, alpha=alpha,
        paired=TTestPower().power(difference / sd, n, alpha, alternative='two-sided'),
        equivalent=interval_power(difference, sd, n, lambda e: t1 * e - margin, lambda e: margin - t1 * e, margin / t1),
        # One-sided t-test of the distance to the margin: noncentral t by statsmodels.
        notSuperior=TTestPower().power((margin - difference) / sd, n, alpha, alternative='larger'),
    )


tests = [case(n, *rest) for n in (3, 12, 40) for rest in ((0.0, 0.02, 0.02), (0.03, 0.02, 0.02), (-0.06, 0.05, 0.02))]
ps = [t['p'] for t in tests]
golden = dict(
    madeWith=dict(numpy=np.__version__, scipy=scipy.__version__, statsmodels=statsmodels.__version__, seed=0),
    tests=tests,
    holm=multipletests(ps, method='holm')[1].tolist(),
    power=[power(*a) for a in (
        (0.059, 0.048, 12, 0.02, 0.05), (-0.028, 0.023, 12, 0.02, 0.01), (0.018, 0.017, 12, 0.02, 0.01),
        (0.0, 0.017, 12, 0.02, 0.05), (0.0, 0.048, 12, 0.02, 0.01), (0.02, 0.03, 4, 0.02, 0.05), (0.005, 0.03, 60, 0.02, 0.05),
    )],
)
pathlib.Path(__file__).with_name('paired.json').write_text(json.dumps(golden, indent=1) + '\n')
