"""What this plugin offers, as descriptors: importing this module imports no implementation."""

from __future__ import annotations

from spacec.hooks import BenchmarkDescriptor, hookimpl

SPACEC_API = (1, 1)


@hookimpl
def spacec_benchmarks() -> list[BenchmarkDescriptor]:
    return [
        BenchmarkDescriptor(
            "nas-bench-201",
            "15,625 cells on CIFAR-10, CIFAR-100 and ImageNet16-120",
            "spacec_tables.nas_bench_201:open_nas_bench_201",
            "spacec-tables[nas-bench-201]",
            "or a CSV file with a column arch, or NATS-tss-v1_0-3ffb9, or NAS-Bench-201-v1_1-096897.pth",
        ),
        BenchmarkDescriptor(
            "hw-nas-bench",
            "NAS-Bench-201's cells on six devices: latency and energy beside accuracy",
            "spacec_tables.hw_nas_bench:open_hw_nas_bench",
            files="a folder with nb201_accuracy.csv and nb201_hwnas_cifar10.csv, …",
        ),
        BenchmarkDescriptor(
            "nats-bench-size",
            "32,768 networks of five widths on CIFAR-10, CIFAR-100 and ImageNet16-120",
            "spacec_tables.nats_bench_size:open_nats_bench_size",
            files="NATS-sss-v1_0-50262-simple, or NATS-sss-v1_0-50262.pickle.pbz2",
        ),
        BenchmarkDescriptor(
            "nas-bench-graph",
            "26,206 graph networks on nine graphs",
            "spacec_tables.nas_bench_graph:open_nas_bench_graph",
            "spacec-tables[nas-bench-graph]",
        ),
        BenchmarkDescriptor(
            "nas-bench-macro",
            "6,561 networks of eight layers on CIFAR-10",
            "spacec_tables.nas_bench_macro:open_nas_bench_macro",
            files="nas-bench-macro_cifar10.json",
        ),
        BenchmarkDescriptor(
            "transnas-bench-101-micro",
            "4,096 cells on seven tasks",
            "spacec_tables.transnas:open_transnas_micro",
            files="a CSV file of one task with a column net",
        ),
        BenchmarkDescriptor(
            "accel-nasbench",
            "networks of MnasNet's kind on ImageNet, on six accelerators",
            "spacec_tables.accel_nasbench:open_accel_nasbench",
            files="a CSV file with columns block0_e, block0_k, block0_l, block0_se, …",
        ),
        BenchmarkDescriptor(
            "csv",
            "measurements of your own, for any space",
            "spacec_tables.csv_file:open_csv",
            files="a CSV file with a column architecture, or one for each decision",
        ),
    ]
