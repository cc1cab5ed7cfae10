--- Functions of nn.functional that are not one operation of the table as it stands.

local layer = require "mascon.ffi"
local op = require "mascon.op"
local options = require "mascon.options"

--- functions: what nn.functional offers; the rest is for the layers over them.
local M = { functions = {} }

local function shape_text(t)
  return "{" .. table.concat(t.shape, ", ") .. "}"
end

local conv1d_spec = {
  { "stride", 1, "integer|table", min = 1 }, { "padding", 0, "integer|table|string" },
  { "dilation", 1, "integer|table", min = 1 }, { "groups", 1, "integer", min = 1 },
}

--- A number, or a table of one, as a whole number of at least `low`.
local function one(name, v, low)
  if type(v) == "table" then
    if #v ~= 1 then
      options.fail("conv1d", ("%s has %d values; expected a number"):format(name, #v))
    end
    v = v[1]
  end
  options.check("conv1d", { name, nil, "integer", min = low }, v)
  return v
end

--- Options of conv1d as those of conv2d over pictures of one row.
---@param o table stride, padding, dilation, groups
---@return table
function M.conv1d_options(o)
  local padding = o.padding
  if type(padding) == "string" then
    options.check("conv1d", { "padding", nil, "string", choices = { "same", "valid" } }, padding)
  else
    padding = { 0, one("padding", padding, 0) }
  end
  return { stride = { 1, one("stride", o.stride, 1) }, padding = padding,
    dilation = { 1, one("dilation", o.dilation, 1) }, groups = o.groups }
end

--- Checks the inputs of conv1d and runs a call of conv2d over pictures of one row.
---@param run fun(x, weight, bias): mascon.Tensor
function M.conv1d_with(run, x, weight, bias)
  for i, t in ipairs { x, weight } do
    if t:dim() ~= 3 then
      options.fail("conv1d", ("%s has %d dimension%s %s; expected 3 %s"):format(
        i == 1 and "input" or "weight", t:dim(), t:dim() == 1 and "" or "s", shape_text(t),
        i == 1 and "{batch, channels, length}" or "{out channels, in channels / groups, size}"),
        i == 1 and t:dim() == 2 and "x:unsqueeze(1)" or nil)
    end
  end
  return run(x:unsqueeze(3), weight:unsqueeze(3), bias):squeeze(3)
end

--- Puts the tensors in front of a list of arguments apart; nil holds a place.
local function tensors_and_rest(name, n_required, n_tensors, args, n)
  local tensors, at = {}, 1
  for i = 1, n_tensors do
    local v = args[at]
    if layer.is_tensor(v) then
      tensors[i] = v
      at = at + 1
    elseif i <= n_required then
      options.fail(name, v == nil and ("argument %d is missing: expected a tensor"):format(i)
        or ("argument %d is %s; expected a tensor"):format(i, options.show(v)))
    elseif v == nil and at <= n then
      at = at + 1
    end
  end
  return tensors, at
end

--- F.conv1d(x, weight, bias, {stride = 1, padding = 0 | "same" | "valid", dilation = 1, groups = 1}):
--- x {batch, channels, length}, weight {out channels, in channels / groups, size}.
function M.functions.conv1d(...)
  local args, n = { ... }, select("#", ...)
  local t, at = tensors_and_rest("conv1d", 2, 3, args, n)
  local o = options.arguments("conv1d", conv1d_spec, unpack(args, at, n))
  local given = M.conv1d_options(o)
  local conv2d = op.find "conv2d"
  return M.conv1d_with(function(x, weight, bias)
    return conv2d(x, weight, bias, given)
  end, t[1], t[2], t[3])
end

local attention_spec = {
  { "dropout_p", 0, "number", min = 0, max = 1 }, { "is_causal", false, "boolean" },
  { "scale", nil, "number" }, { "attn_mask", nil, "any" }, { "enable_gqa", false, "boolean" },
}

--- F.scaled_dot_product_attention(q, k, v, {attn_mask =, dropout_p = 0, is_causal = false, scale =}):
--- softmax(q k^T * scale + attn_mask) v over {…, positions, features}. A mask of bools is true where a key
--- takes part; one of numbers is added to the scores.
function M.functions.scaled_dot_product_attention(...)
  local name = "scaled_dot_product_attention"
  local args, n = { ... }, select("#", ...)
  local t, at = tensors_and_rest(name, 3, 4, args, n)
  local o = options.arguments(name, attention_spec, unpack(args, at, n))
  if o.enable_gqa then
    options.fail(name, "enable_gqa is not supported: k and v need as many heads as q",
      "k:repeat_interleave(groups, -3)")
  end
  local mask = t[4]
  if mask and o.attn_mask ~= nil then
    options.fail(name, "attn_mask is given by position and by name")
  end
  mask = mask or o.attn_mask
  if mask ~= nil and not layer.is_tensor(mask) then
    options.fail(name, ("attn_mask is %s; expected a tensor"):format(options.show(mask)))
  end
  local given = { is_causal = o.is_causal, scale = o.scale }
  if o.dropout_p == 0 then
    return op.find(name)(t[1], t[2], t[3], mask, given)
  end
  given.dropout_p = o.dropout_p
  return op.run(name .. "_dropout", name, false, t[1], t[2], t[3], mask, given)
end

--- scale_factor = {vertical, horizontal} as the two options of the op.
---@param o table options of interpolate
---@return table
function M.interpolate_options(o)
  local factors = o.scale_factor
  if type(factors) ~= "table" then
    return o
  end
  if #factors ~= 2 then
    options.fail("interpolate", ("scale_factor has %d values; expected a number or {vertical, horizontal}")
      :format(#factors))
  end
  local copy = {}
  for key, v in pairs(o) do
    copy[key] = v
  end
  copy.scale_factor, copy.scale_factor_width = factors[1], factors[2]
  return copy
end

--- F.interpolate(x, {size = | scale_factor = 2 | {2, 3}, mode = "nearest", align_corners =, antialias =})
function M.functions.interpolate(...)
  local args, n = { ... }, select("#", ...)
  if type(args[n]) == "table" then
    args[n] = M.interpolate_options(args[n])
  end
  return op.find "interpolate"(unpack(args, 1, n))
end

return M
