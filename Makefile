# make demo   set up, then make scenes, train both stages, fuse, evaluate and plot, all in ./demo
# make test   set up, then run the tests
# make setup  only set up: a virtual environment in .venv with the requirements, and Jittor's first compilation
#
# PYTHON: any Python from 3.8 to 3.12, for example: make PYTHON=python3.9 demo

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
DEMO := demo

.PHONY: setup demo test clean

setup: $(VENV)/ready
	@echo "== Jittor: its first start compiles for two to six minutes, later ones take seconds"
	@$(RUN) -c "from tools.runtime import jt; print('Jittor', jt.__version__, 'works')"

$(VENV)/ready: requirements.txt
	@$(PYTHON) -m tools.jittor_setup
	@echo "== Virtual environment in $(VENV), and the packages of requirements.txt"
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --requirement requirements.txt
	@touch $@

test: setup
	@echo "== Tests: several minutes, more the first time, while Jittor compiles the operators"
	$(RUN) -m pytest

demo: setup
	@echo "== 1/6 Scenes, to train and to test on"
	$(RUN) make_scenes.py --folder $(DEMO)
	@echo "== 2/6 Stage 1: an auto-encoder for each modality"
	$(RUN) train_autoencoder.py --type_flag ir --path $(DEMO)/database --epochs 2 --save_auto_model $(DEMO)/models/autoencoder
	$(RUN) train_autoencoder.py --type_flag vi --path $(DEMO)/database --epochs 2 --save_auto_model $(DEMO)/models/autoencoder
	@echo "== 3/6 Stage 2: the fusion network, with settings for a short run (README: Short runs)"
	$(RUN) train_conv_trans.py --path $(DEMO)/database --train_num 60 --train_num_from spread --epochs 3 --batch 1 --lr 0.02 --weight_decay 1000 --save_auto_model $(DEMO)/models/autoencoder --save_fusion_model $(DEMO)/models/transfuse
	@echo "== 4/6 Fusing the gray and the colour test set"
	$(RUN) test_conv_trans.py --ir $(DEMO)/images/scenes_gray/ir --vis $(DEMO)/images/scenes_gray/vis --models $(DEMO)/models/transfuse --output $(DEMO)/output --overwrite --contact_sheet
	$(RUN) test_color_image.py --ir $(DEMO)/images/scenes_color/ir --vis $(DEMO)/images/scenes_color/vis --models $(DEMO)/models/transfuse --output $(DEMO)/output --overwrite --contact_sheet
	@echo "== 5/6 Evaluation"
	$(RUN) evaluate_fusion_results.py --output $(DEMO)/output --images $(DEMO)/images --test_set scenes_gray
	$(RUN) evaluate_fusion_results.py --output $(DEMO)/output --images $(DEMO)/images --test_set scenes_color
	@echo "== 6/6 Loss curves"
	$(RUN) plot_loss_curves.py --models $(DEMO)/models --output $(DEMO)/results
	@echo "== Done. Look at"
	@echo "   fused pictures: $(DEMO)/output/crossfuse_test"
	@echo "   tables:         $(DEMO)/output/metrics"
	@echo "   loss curves:    $(DEMO)/results"

clean:
	rm -rf $(VENV) $(DEMO)
