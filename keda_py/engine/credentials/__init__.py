"""What triggers are given to log in with: found, watched, renewed, and kept from everybody else.

`resolver` is the way in: it makes of an object's manifest its triggers with their credentials. It goes through
`authentication` and `environment`, and takes what they name from `watched` (Secrets and ConfigMaps), from `stores`
(what nobody tells of its changes) and from `template` (the pods of the target), by the words of `lookup`.
"""
