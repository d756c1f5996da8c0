"""Played runs: the steps of a run are recorded once as arithmetic, and a compiled loop repeats it on other numbers.

`docs/decisions/0020-played-runs.md` says why, and what each module is about. The words of this package:

- *kernel*: the code that simulates a run. It does a step on *recorded* numbers, or on *plain* ints and floats.
- *step*: the start of a run, what follows the close of a row, an arrival of money in transit, or the end of the run.
- *recorded number*: has a value, stands where a float or an int would, and notes each operation on it.
- *register*: where the player holds a number. The first registers are *inputs*, which are carried from step to step.
- *tree*: what is recorded of a kind of step, a decision tree. A *branch* computes registers and ends in a comparison,
  its *question*, or in a *leaf*; a *way* is a path through the tree while it is recorded.
- *leaf*: what a step does in the end: the inputs that change, the *outputs* that are noted, and what it sends.
- *outline*: the entries that a leaf adds to the books, with *gaps* that its outputs fill.
- *tape*: all trees of one kind of run. Its *code* is the same in tables of integers, its *program* all that is played.
- *player*: the compiled loop. A *quiet* row changes no input but what accrues, and is played in blocks.
- *in transit*: a step *sends* money, which is *pending* in the player until it is due and *arrives*.
- *refuse*: give up recording or playing a step, with the reason. Where it happens too often the tape is *given up*.
"""
