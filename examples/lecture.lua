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

--- The pictures of a part with a transform: CIFAR-10, or drawn ones where the folder has none.
---@param part string "train" or "test"
local function pictures(root, part, transform)
  if has_cifar10(root) then
    return datasets.CIFAR10 { root = root, train = part == "train", transform = transform }
  elseif part == "train" then
    return datasets.FakeData { size = 20000, transform = transform }
  end
  return datasets.FakeData { size = 2000, random_offset = 20000, transform = transform }
end

--- Loaders of the training, validation and test pictures, and the names of the classes. Of CIFAR-10's
--- 50,000 training pictures 10,000 are for validation.
---@param transform any for the training and validation pictures
---@param options? table batch_size = 32, num_workers = 2, root, eval_transform (for validation and test
---  pictures; otherwise validation takes `transform` and test ToTensor)
---@return table loaders {train =, val =, test =}
---@return string[] class_names
function M.create_dataloaders(transform, options)
  options = options or {}
  local root = options.root or os.getenv "MASCON_DATA" or "./data"
  if not has_cifar10(root) then
    print(("No data set in %s: training on drawn pictures (datasets.FakeData)"):format(root))
  end
  local train_data = pictures(root, "train", transform)
  local test_data = pictures(root, "test", options.eval_transform or T.ToTensor())
  local n_val = math.floor(train_data:len() / 5)
  local train_part, val_part = data.random_split(train_data, { train_data:len() - n_val, n_val })
  if options.eval_transform then
    val_part = data.Subset(pictures(root, "train", options.eval_transform), val_part.indices)
  end
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

--- A batch of a loader, to look at.
---@return mascon.Tensor X, mascon.Tensor y
function M.first_batch(loader)
  local next_batch, state, control = loader()
  return next_batch(state, control)
end

local function forward(model, X, y, loss_fn)
  local scores = model(X)
  return scores, loss_fn(scores, y)
end

--- Scores and loss of a batch, in bfloat16 where that suits if autocast is true.
local function forward_function(autocast)
  return autocast and function(...)
    return mascon.autocast("bfloat16", forward, ...)
  end or forward
end

--- One pass over the training batches: mean loss and mean accuracy.
---@param options? table bar (a mascon.tqdm bar over the loader), scheduler (stepped after each batch),
---  steps (so many batches instead of all)
---@return number loss, number accuracy
function M.train_step(model, loader, loss_fn, optimizer, device, options)
  model:train()
  options = options or {}
  local run = forward_function(options.autocast)
  local loss_sum, correct, done = 0, 0, 0
  for X, y in options.bar or loader() do
    X, y = X:to(device), y:to(device)
    local scores, loss = run(model, X, y, loss_fn)
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
    if options.scheduler then
      options.scheduler:step()
    end
    loss_sum, correct = loss_sum + loss:item(), correct + scores:argmax(2):eq(y):sum():item() / #y
    done = done + 1
    if done == options.steps then
      break
    end
  end
  if options.bar then
    options.bar:close()
  end
  return loss_sum / done, correct / done
end

--- One pass over batches without training: mean loss and mean accuracy.
---@param options? table steps; autocast
---@return number loss, number accuracy
function M.test_step(model, loader, loss_fn, device, options)
  model:eval()
  local loss_sum, correct, done = 0, 0, 0
  local steps = options and options.steps
  local run = forward_function(options and options.autocast)
  mascon.inference_mode(function()
    for X, y in loader() do
      X, y = X:to(device), y:to(device)
      local scores, loss = run(model, X, y, loss_fn)
      loss_sum = loss_sum + loss:item()
      correct = correct + scores:argmax(2):eq(y):sum():item() / #y
      done = done + 1
      if done == steps then
        break
      end
    end
  end)
  return loss_sum / done, correct / done
end

--- Trains for some epochs; prints one line for each.
---@param options table epochs; scheduler (stepped after each batch); steps (batches of a pass, 0 for all);
---  autocast (true: bfloat16 where it suits)
---@return table results {train_loss =, train_acc =, test_loss =, test_acc =}, a list of numbers each
function M.train(model, train_loader, test_loader, optimizer, loss_fn, options)
  local device = device_of(model)
  local results = { train_loss = {}, train_acc = {}, test_loss = {}, test_acc = {} }
  for epoch = 1, options.epochs do
    local bar = mascon.tqdm(train_loader, { desc = ("epoch %d/%d"):format(epoch, options.epochs),
      leave = false })
    local train_loss, train_acc = M.train_step(model, train_loader, loss_fn, optimizer, device,
      { bar = bar, scheduler = options.scheduler, steps = options.steps, autocast = options.autocast })
    local test_loss, test_acc = M.test_step(model, test_loader, loss_fn, device, options)
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

--- Prints and returns accuracy, F1, precision and recall (means over the classes) of a model, and the
--- heat map of its confusion matrix.
---@param title? string of the heat map
---@return number accuracy, number f1, number precision, number recall, mascon.plot.Figure heat_map
function M.calculate_performance(model, loader, class_names, title)
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
  local heat_map = plot.heatmap(matrix:values { normalize = "true" }, { xticks = class_names,
    yticks = class_names, annot = true, xlabel = "predicted", ylabel = "true", title = title })
  return accuracy, f1, precision, recall, heat_map
end

--- A picture of a batch with the name of its class as title.
---@param X mascon.Tensor pictures {N, C, H, W}
---@param y mascon.Tensor labels {N}
---@param index? integer which one; any of them otherwise
---@return mascon.plot.Figure
function M.plot_sample(X, y, class_names, index)
  index = index or mascon.randint(1, #y, {}):item()
  return plot.images(X[{ { index, index } }], { titles = { class_names[y[index]:item()] } })
end

return M
