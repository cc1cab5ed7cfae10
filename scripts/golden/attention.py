#!/usr/bin/env python3
"""attention.py: cuts spec/golden/attention.safetensors for spec/attention_spec.lua from PyTorch:
nn.MultiheadAttention, its state, inputs, results and gradients."""

import torch
import torch.nn.functional as F

from store import Store


def layer(out, name, x, **options):
    attn = torch.nn.MultiheadAttention(12, 3, batch_first=True, **options)
    with torch.no_grad():  # PyTorch's biases begin as 0, which would hide them
        for p in attn.parameters():
            p.copy_(torch.randn_like(p) * 0.3)
    for key, value in attn.state_dict().items():
        out[f"{name}.state.{key}"] = value
    padding = torch.zeros(2, x[1].shape[1], dtype=torch.bool)
    padding[0, 2] = True
    mask = torch.rand(x[0].shape[1], x[1].shape[1]) < 0.3
    mask[:, 0] = False
    added = torch.randn(2 * 3, x[0].shape[1], x[1].shape[1])
    for i, t in enumerate(x):
        out[f"{name}.x{i + 1}"] = t
    out[f"{name}.padding"], out[f"{name}.mask"], out[f"{name}.added"] = padding, mask, added
    y, w = attn(*x, key_padding_mask=padding, attn_mask=mask)
    (y * torch.arange(y.numel()).reshape(y.shape).cos()).sum().backward()
    out[f"{name}.y"], out[f"{name}.w"] = y, w
    for key, p in attn.named_parameters():
        out[f"{name}.grad.{key}"] = p.grad
    y, w = attn(*x, attn_mask=added, average_attn_weights=False)
    out[f"{name}.added_y"], out[f"{name}.added_w"] = y, w


def functional(out):
    q, k, v = torch.randn(2, 3, 5, 4), torch.randn(2, 3, 7, 4), torch.randn(2, 3, 7, 6)
    mask = torch.rand(5, 7) < 0.6
    mask[1] = False
    out.update(q=q, k=k, v=v, mask=mask, masked=F.scaled_dot_product_attention(q, k, v, mask),
               causal=F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.3))


def main():
    torch.manual_seed(1)
    out = {}
    x = torch.randn(2, 5, 12)
    layer(out, "same", [x, x, x])
    layer(out, "other", [x, torch.randn(2, 7, 6), torch.randn(2, 7, 5)], kdim=6, vdim=5)
    functional(out)
    store = Store()
    names = " ".join(f"{name}={store.add(t)}" for name, t in out.items())
    store.write("attention", {"names": names})


if __name__ == "__main__":
    main()
