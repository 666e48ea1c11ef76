"""The built-in scalers; each uses only what keda_py.scaler offers everyone."""
