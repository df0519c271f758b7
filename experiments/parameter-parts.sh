#!/bin/sh
# Where networks have their parameters: VGG-16 nearly all in dense layers that VGG-GAP does without.
# Nothing is downloaded. Run in experiments/, after `pip install -r requirements.txt`.
set -eu
wsol models alexnet vgg16 vgg16_gap googlenet inception_v3 resnet18 resnet50 densenet161 \
    squeezenet1_0 mobilenet_v3_large efficientnet_b0 convnext_tiny vit_b_16 swin_t \
    efficientnet_lite:lite0 efficientnet_lite:lite1 efficientnet_lite:lite2 \
    --out ../results/parameter-parts/table.md --out ../results/parameter-parts/table.csv \
    --out ../results/parameter-parts/parts.png
