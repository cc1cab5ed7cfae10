--- Fusion around batch norm, for training.
-- Behind a convolution and a ReLU, batch norm's input is the ReLU's mask: its backward op masks, and the
-- ReLU's does not run. At the end of a block, batch norm, pooling and dropout are one pass over memory
-- each way. Both have the bits of the layers one by one.

local fusion = require "mascon.nn.fusion"
local layer = require "mascon.ffi"
local op = require "mascon.op"

local is_tensor, uses_batch = layer.is_tensor, fusion.uses_batch

-- Elements of two rows of a picture that the pooled form takes. ORDER: 4 * SLICE of lib/cpu/batch_norm.c
local MOST = 32768

-- Fused calls of batch norm by the layer's own prepared call, which stands for eps and momentum.
local made = setmetatable({}, { __mode = "k" })

--- A call of batch_norm or batch_norm_pool that trains, prepared once; it returns nil where the op refuses.
---@param masks boolean x came out of a ReLU that does not mask
---@param p? number of dropout
local function norm_call(name, bn, masks, p)
  local own = bn:calls()
  local calls = made[own]
  if not calls then
    calls = {}
    made[own] = calls
  end
  local key = name .. (masks and " masks " or " ") .. (p or "")
  local call = calls[key]
  if not call then
    call = op.prepare(name, { training = true, eps = bn.eps, momentum = bn.momentum or 0, p = p,
      relu_mask = masks }, true)
    calls[key] = call
  end
  return call
end

--- What a batch norm layer makes of y; nil where it refuses.
local function normalise(bn, name, y, masks, p)
  if y:size(2) ~= bn.num_features then
    return nil
  end
  local mean = bn.running_mean
  local z = norm_call(name, bn, masks, p)(y, mean, bn.running_var, bn.weight, bn.bias)
  if z and mean then
    bn.num_batches_tracked:add_(1)
  end
  return z
end

--- Drops the handle of x, made here and seen by nobody, once y is there; a graph holds what it saved.
local function release(x, y)
  if x and y then
    x:release()
  end
  return y
end

local function is_2x2(pool)
  local k, s, p, d = pool.kernel_size, pool.stride, pool.padding, pool.dilation
  return k[1] == 2 and k[2] == 2 and s[1] == 2 and s[2] == 2 and p[1] == 0 and p[2] == 0 and d[1] == 1
    and d[2] == 1
end

--- Whether the pooled form has a kernel for x {n, c, h, w}.
local function fits(x)
  if x:dim() ~= 4 then
    return false
  end
  local c, h, w = x:size(2), x:size(3), x:size(4)
  return c % 16 == 0 and h % 2 == 0 and w % 2 == 0 and 2 * w * c <= MOST and x:size(1) > 0
    and (x.dtype == "float32" or x.dtype == "bfloat16")
end

--- Batch norm, pooling and dropout of x in one call, or one by one where that call does not fit.
local function block_end(x, bn, pool, dropout, masks)
  if is_2x2(pool) and fits(x) then
    return normalise(bn, "batch_norm_pool", x, masks, dropout.p)
  end
  if not masks then
    return nil
  end
  local y = normalise(bn, "batch_norm", x, masks)
  local pooled = y and pool(y)
  local z = pooled and dropout(pooled)
  release(y, z)
  if pooled ~= z then
    release(pooled, z)
  end
  return z
end

local function masked()
  return { masked = true }
end

local function conv_relu(x, conv)
  return fusion.conv_call("conv2d_relu", conv, "masked", masked)(x, conv.weight, conv.bias)
end

fusion.register { "Conv2d", "ReLU", "BatchNorm2d",
  when = function(grad, _, _, bn)
    return grad and bn.training
  end,
  run = function(x, conv, _, bn)
    if is_tensor(x) and uses_batch(bn) then
      local y = conv_relu(x, conv)
      return y and release(y, normalise(bn, "batch_norm", y, true))
    end
  end,
}

fusion.register { "Conv2d", "ReLU", "BatchNorm2d", "MaxPool2d", "Dropout",
  when = function(grad, _, _, bn, _, dropout)
    return grad and bn.training and dropout.training
  end,
  run = function(x, conv, _, bn, pool, dropout)
    if is_tensor(x) and uses_batch(bn) then
      local y = conv_relu(x, conv)
      return y and release(y, block_end(y, bn, pool, dropout, true))
    end
  end,
}

fusion.register { "BatchNorm2d", "MaxPool2d", "Dropout",
  when = function(grad, bn, _, dropout)
    return grad and bn.training and dropout.training
  end,
  run = function(x, bn, pool, dropout)
    if is_tensor(x) and uses_batch(bn) then
      return block_end(x, bn, pool, dropout, false)
    end
  end,
}

return {}
