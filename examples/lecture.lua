--- What the lecture's notebook defines around its networks: data loaders, the training loop, figures.

local mascon = require "mascon"
local data, datasets, metrics = mascon.data, mascon.datasets, mascon.metrics
local plot, T = mascon.plot, mascon.transforms

local M = {}

-- Data ----------------------------------------------------------------------------------------------

-- What tells that a folder holds CIFAR-10 (damaged or not).
local cifar10_names = {
  "cifar-10-batches-bin", "cifar-10-batches-py", "cifar-10-binary.tar.gz", "cifar-10-python.tar.gz",
  "data_batch_1.bin", "data_batch_1",
}

local function has_cifar10(root)
  for _, name in ipairs(cifar10_names) do
    local file = io.open(root .. "/" .. name)
    if file then
      file:close()
      return true
    end
  end
  return false
end

--- Training and test pictures: CIFAR-10, or drawn ones where the folder has none.
local function pictures(root, transform)
  if has_cifar10(root) then
    return datasets.CIFAR10 { root = root, train = true, transform = transform },
      datasets.CIFAR10 { root = root, train = false, transform = T.ToTensor() }
  end
  print(("No data set in %s: training on drawn pictures (datasets.FakeData)"):format(root))
  local size = 20000
  return datasets.FakeData { size = size, transform = transform },
    datasets.FakeData { size = 2000, random_offset = size, transform = T.ToTensor() }
end

--- Loaders of the training, validation and test pictures, and the names of the classes. Of CIFAR-10's
--- 50,000 training pictures 10,000 are for validation.
---@param transform any for the training and validation pictures
---@param options? table batch_size = 32, num_workers = 2, root
---@return table loaders {train =, val =, test =}
---@return string[] class_names
function M.create_dataloaders(transform, options)
  options = options or {}
  local root = options.root or os.getenv "MASCON_DATA" or "./data"
  local train_data, test_data = pictures(root, transform)
  local n_val = math.floor(train_data:len() / 5)
  local train_part, val_part = data.random_split(train_data, { train_data:len() - n_val, n_val })
  local function loader(dataset, shuffle)
    return data.DataLoader(dataset, {
      batch_size = options.batch_size or 32, shuffle = shuffle, num_workers = options.num_workers or 2,
    })
  end
  return { train = loader(train_part, true), val = loader(val_part, true),
    test = loader(test_data, false) }, train_data.classes
end

-- Training ------------------------------------------------------------------------------------------

--- The device on which a model lives.
local function device_of(model)
  return model:parameters()[1].device
end

--- One pass over the training batches: mean loss and mean accuracy.
---@param bar? table a mascon.tqdm bar over the loader
---@return number loss, number accuracy
function M.train_step(model, loader, loss_fn, optimizer, device, bar)
  model:train()
  local loss_sum, correct = 0, 0
  for X, y in bar or loader() do
    X, y = X:to(device), y:to(device)
    local scores = model(X)
    local loss = loss_fn(scores, y)
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
    loss_sum, correct = loss_sum + loss:item(), correct + scores:argmax(2):eq(y):sum():item() / #y
  end
  return loss_sum / loader:len(), correct / loader:len()
end

--- One pass over batches without training: mean loss and mean accuracy.
---@return number loss, number accuracy
function M.test_step(model, loader, loss_fn, device)
  model:eval()
  local loss_sum, correct = 0, 0
  mascon.inference_mode(function()
    for X, y in loader() do
      X, y = X:to(device), y:to(device)
      local scores = model(X)
      loss_sum = loss_sum + loss_fn(scores, y):item()
      correct = correct + scores:argmax(2):eq(y):sum():item() / #y
    end
  end)
  return loss_sum / loader:len(), correct / loader:len()
end

--- Trains for some epochs; prints one line for each.
---@param options table epochs
---@return table results {train_loss =, train_acc =, test_loss =, test_acc =}, a list of numbers each
function M.train(model, train_loader, test_loader, optimizer, loss_fn, options)
  local device = device_of(model)
  local results = { train_loss = {}, train_acc = {}, test_loss = {}, test_acc = {} }
  for epoch = 1, options.epochs do
    local bar = mascon.tqdm(train_loader, { desc = ("epoch %d/%d"):format(epoch, options.epochs),
      leave = false })
    local train_loss, train_acc = M.train_step(model, train_loader, loss_fn, optimizer, device, bar)
    local test_loss, test_acc = M.test_step(model, test_loader, loss_fn, device)
    print(("Epoch: %d | train_loss: %.4f | train_acc: %.4f | test_loss: %.4f | test_acc: %.4f"):format(
      epoch, train_loss, train_acc, test_loss, test_acc))
    io.stdout:flush()
    results.train_loss[epoch], results.train_acc[epoch] = train_loss, train_acc
    results.test_loss[epoch], results.test_acc[epoch] = test_loss, test_acc
  end
  return results
end

-- Results -------------------------------------------------------------------------------------------

--- Loss and accuracy over the epochs, side by side.
---@return mascon.plot.Figure
function M.plot_loss_curves(results, title)
  return plot.grid({
    plot.lines({ { "train_loss", results.train_loss }, { "test_loss", results.test_loss } },
      { title = "Loss", xlabel = "Epochs" }),
    plot.lines({ { "train_accuracy", results.train_acc }, { "test_accuracy", results.test_acc } },
      { title = "Accuracy", xlabel = "Epochs" }),
  }, { title = title })
end

--- Prints and returns accuracy, F1, precision and recall (means over the classes) of a model.
---@return number accuracy, number f1, number precision, number recall
function M.calculate_performance(model, loader, class_names)
  model:eval()
  local device, matrix = device_of(model), metrics.ConfusionMatrix(#class_names)
  mascon.inference_mode(function()
    for X, y in loader() do
      matrix:update(model(X:to(device)):argmax(2), y)
    end
  end)
  local accuracy, f1 = matrix:accuracy(), matrix:f1 "macro"
  local precision, recall = matrix:precision "macro", matrix:recall "macro"
  print(("Test | accuracy: %.4f | f1: %.4f | precision: %.4f | recall: %.4f"):format(accuracy, f1,
    precision, recall))
  return accuracy, f1, precision, recall
end

return M
