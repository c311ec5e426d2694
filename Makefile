# make demo        set up, then make scenes, fuse them with the weights that come with the repository, evaluate and plot, in ./demo
# make demo-train  the same with networks trained on drawn scenes: about a quarter of an hour on two cores
# make test        set up, then check style and types, and run the tests
# make check       style, types and the tests that need no Jittor, in about a minute
# make setup       only set up: a virtual environment in .venv with the requirements, and Jittor's compilation of itself and of fusing
# make setup GPU=1 the same with CUDA from packages, for a GPU with nothing but its driver
#
# PYTHON: any Python from 3.8 to 3.12, for example: make PYTHON=python3.9 demo

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
DEMO := demo
GPU ?=
# Two processes, which takes half of the time and 3 GB; a file's tests share what they prepare, and stay together.
SIDE_BY_SIDE := --numprocesses 2 --dist loadfile

.PHONY: setup demo demo-train test check clean

setup: $(VENV)/ready $(if $(GPU),$(VENV)/ready-gpu)
	@echo "== Jittor: its first start compiles for some minutes, itself and what fusing needs; later ones take seconds"
	@$(RUN) -m tools.fusing.warm_up

$(VENV)/ready: requirements.txt
	@$(PYTHON) -m tools.runtime.setup
	@echo "== Virtual environment in $(VENV), and the packages of requirements.txt"
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --requirement requirements.txt
	@touch $@

$(VENV)/ready-gpu: requirements-gpu.txt $(VENV)/ready
	@$(RUN) -m tools.runtime.wheels
	@touch $@

# What changes most can be checked without Jittor.
check: $(VENV)/ready
	$(RUN) -m ruff check .
	$(RUN) -m mypy
	$(RUN) -m pytest tests/base tests/data tests/curves tests/scenes tests/test_rooms.py --ignore tests/data/test_feature_cache.py

test: setup
	@echo "== Style and types"
	$(RUN) -m ruff check .
	$(RUN) -m mypy
	@echo "== Tests: several minutes, more the first time, while Jittor compiles the operators"
	$(RUN) -m pytest $(SIDE_BY_SIDE)

# What both demos do with a fusion network; $(1): its run folder, $(2): where its results go, $(3): the runs whose curves are drawn.
define show
	$(RUN) test_conv_trans.py --model $(1) --ir $(DEMO)/images/scenes_gray/ir --vi $(DEMO)/images/scenes_gray/vi --deep_shares bounded --output $(2) --overwrite --contact_sheet
	$(RUN) test_color_image.py --model $(1) --ir $(DEMO)/images/scenes_color/ir --vi $(DEMO)/images/scenes_color/vi --deep_shares bounded --output $(2) --overwrite --contact_sheet
	$(RUN) evaluate_fusion_results.py --output $(2) --images $(DEMO)/images --test_set scenes_gray
	$(RUN) evaluate_fusion_results.py --output $(2) --images $(DEMO)/images --test_set scenes_color
	$(RUN) plot_loss_curves.py $(3) --output $(2)/curves
	@echo "== Done. Look at"
	@echo "   fused pictures: $(2)/crossfuse_test/*/contact_sheet"
	@echo "   tables:         $(2)/metrics"
	@echo "   loss curves:    $(2)/curves"
endef

demo: setup
	@echo "== Scenes to test on; then: fused with the weights in results/models, scored, and the loss curves of their training"
	$(RUN) -m tools.scenes --folder $(DEMO) --scenes 0
	$(call show,results/models,$(DEMO)/output,--ir results/logs/autoencoder_ir --vi results/logs/autoencoder_vi --fusion results/logs/fusion)

demo-train: setup
	@echo "== 1/4 Scenes, to train and to test on"
	$(RUN) -m tools.scenes --folder $(DEMO)
	@echo "== 2/4 Stage 1: an auto-encoder for each modality"
	$(RUN) train_autoencoder.py --type_flag ir --path $(DEMO)/database --epochs 2 --save_auto_model $(DEMO)/models/autoencoder
	$(RUN) train_autoencoder.py --type_flag vi --path $(DEMO)/database --epochs 2 --save_auto_model $(DEMO)/models/autoencoder
	@echo "== 3/4 Stage 2: the fusion network, its deep path started at 0"
	$(RUN) train_conv_trans.py --path $(DEMO)/database --epochs 3 --batch 2 --deep_start 0 --save_auto_model $(DEMO)/models/autoencoder --save_fusion_model $(DEMO)/models/transfuse
	@echo "== 4/4 Fusing, evaluation, loss curves"
	$(call show,$$(ls -td $(DEMO)/models/transfuse/*/ | head -1),$(DEMO)/output_trained,--models $(DEMO)/models)

clean:
	rm -rf $(VENV) $(DEMO)
