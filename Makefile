# The same checks for people and for CI; everything they need is installed by setup.sh.
.PHONY: check check-all demo app

check: # ruff, mypy and pytest
	./setup.sh test

check-all: # with the slow tests, as CI runs them
	./setup.sh test --all

demo:
	./setup.sh demo

app:
	./setup.sh app
