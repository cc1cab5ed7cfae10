--- Embedding: a table of rows, looked up by number. The row padding_idx begins as 0 and gets no gradient.

local create = require "mascon.create"
local initialise = require "mascon.nn.initialise"
local layers = require "mascon.nn.layers"
local module = require "mascon.nn.module"
local options = require "mascon.options"

local M = {}

---@class mascon.nn.Embedding: mascon.nn.Module
local Embedding = module.Module:extend "Embedding"
M.Embedding = Embedding

local spec = layers.factory {
  { "num_embeddings", options.required, "integer", min = 1 },
  { "embedding_dim", options.required, "integer", min = 1 },
  { "padding_idx", nil, "integer" },
  -- of PyTorch's, refused by name
  { "max_norm", nil, "any" }, { "norm_type", nil, "any" }, { "scale_grad_by_freq", nil, "any" },
  { "sparse", nil, "any" },
}

local unsupported = {
  max_norm = "rows longer than it are not shortened",
  norm_type = "there is no max_norm",
  scale_grad_by_freq = "a row's gradient is the sum over its uses",
  sparse = "gradients are dense tensors",
}

--- Refuses what PyTorch's layer has and this one has not; false, its default there, is no wish.
local function check_supported(o)
  for _, name in ipairs { "max_norm", "norm_type", "scale_grad_by_freq", "sparse" } do
    if o[name] then
      options.fail("Embedding", ("%s is not supported: %s"):format(name, unsupported[name]))
    end
  end
end

--- padding_idx as a number from 1.
local function padding_of(o)
  local i, n = o.padding_idx, o.num_embeddings
  if i and (i == 0 or i < -n or i > n) then
    options.fail("Embedding", ("padding_idx is %d; rows run 1..%d or -%d..-1"):format(i, n, n))
  end
  return i and i < 0 and n + 1 + i or i
end

--- nn.Embedding(num_embeddings, embedding_dim, {padding_idx =}): numbers 1..num_embeddings become rows.
function Embedding:init(...)
  local o = options.arguments("Embedding", spec, ...)
  self.num_embeddings, self.embedding_dim = o.num_embeddings, o.embedding_dim
  local weight = create.new("Embedding", { o.num_embeddings, o.embedding_dim }, o.dtype, "cpu")
  check_supported(o)
  self.padding_idx = padding_of(o)
  initialise.normal_(weight)
  if self.padding_idx then
    weight[self.padding_idx] = 0
  end
  self.weight = module.Parameter(weight)
  if o.device ~= "cpu" then
    self:to(o.device)
  end
end

layers.from_options(Embedding, { "padding_idx" }, function(self)
  return "embedding", { padding_idx = self.padding_idx }
end)

---@param index mascon.Tensor int64, of any shape
---@return mascon.Tensor {…, embedding_dim}
function Embedding:forward(index)
  local run = self.run or self:call()
  return run(index, self.weight)
end

function Embedding:extra_repr()
  return ("%d, %d%s"):format(self.num_embeddings, self.embedding_dim,
    self.padding_idx and ", padding_idx=" .. self.padding_idx or "")
end

return M
