"""The space as a mathematical object, without torch: which file owns what.

**What a space is.** ``decisions`` (decisions, slots and costs under global names), ``values``, ``architecture``,
``codec`` (text and JSON), ``batch`` (many architectures as one array), ``validate``, ``derive``, ``adapt`` and
``migrate`` (other forms, edited grammars), ``compare``. They come from the region graph by ``walk`` (``templates``
copies small regions), ``skeleton`` and ``shorter``; ``activity`` tells what is active, ``truths`` in many rows at once.

**Counting.** A decision diagram holds the valid architectures as paths: ``components`` (what is apart), ``arrange``
(the order), ``planner`` and ``schedule`` (what is remembered), ``explore`` (states), ``diagram`` (the result),
``constraints`` and ``growth`` (what ``where`` says), ``restrict`` and ``impose`` (limits on a diagram), ``measures``
(their costs), ``tally`` (counts by sums, where no diagram can be made), ``feasible``. ``algebra`` is the way in:
count, rank, unrank, enumerate; ``unrank`` does so in bulk. ``regions`` counts large spaces without their table.

**Sampling.** ``sample`` is the way in, ``draws`` the sequences behind it: from ranks (``streams``), by prior weights,
exactly (``weighted``, to the end by ``rest``), from a wider set with rejection (``wide``). ``strata``: by cost.
``factorised`` distributions under the constraints, with gradients and in floating point, are ``chances`` (over
``layers``). ``estimates``: what samples say where nothing exact can. ``variation`` (mutate, crossover,
neighbours) and ``mutation`` (several changes).

**Costs.** ``cost`` (one architecture; soft masks of a supernet, over ``relaxation`` and ``events``), ``cost_batch``
(many), ``expectation`` (factorised distributions). What is added up: ``applications`` and ``latency`` (ops as applied;
measured or told by a function), ``results`` (what ops give), ``deferred`` (made when asked for). ``extremes`` (by
``eliminate``, ``extent`` of a diagram, or ``listed`` one by one); ``distribution`` (by ``costed`` and ``spread``).
``depth`` is no sum.

**Which architectures are one network.** ``written`` makes ``bodies`` of the graph, ``reading`` finds what is read of
one, ``labels`` and ``alignment`` say what its ops are, ``forms`` makes normal forms of it in a ``workshop``;
``normal`` says what these are, ``structure`` and ``canonical`` compare them. ``identity`` is the way in, ``live`` the
notion of paths. Counting them: ``holes`` (what is left open), ``structures``, ``orbits``, ``spelling``; where
candidates differ by labels alone, ``skeletons`` and ``erased``. ``distinct`` puts them together, ``notions`` is the
way in.

**Seen from outside.** ``encodings`` (arrays; ``encodings.wiring`` is the graph of decisions that ``edit_distance`` and
some formats read too), ``formats`` (other projects' texts), ``benchmark`` (others' measurements), ``distance``;
``subject`` is what the first two are bound to.

Three walks of the graph stand beside each other, for they keep different things: ``walk`` every decision and amount
with when it is there, ``written`` what computes, ``encodings.wiring`` what decides.
"""
